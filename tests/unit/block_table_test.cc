// SPDX-License-Identifier: Apache-2.0
//
// The table of live blocks against std::unordered_map. The interesting tables are crowded ones: addresses are chosen to
// share a bucket, and the last buckets, from where those that find no room go round.
// How it grows is in segmented_table_test.cc.
#include "cli/state/block_table.h"

#include <random>
#include <unordered_map>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

// Of the first of the two segments of a table that is new, and how many blocks the table takes before it grows.
constexpr std::size_t kFirstBuckets = 32, kFirstBlocks = 128;

bool is_in_first_segment(std::uint64_t address) {
  return (BlockTable::hash_of(address) & 1) == 0;
}

// In which bucket of it an address belongs; repeats the table's choice on purpose.
std::size_t first_home(std::uint64_t address) {
  return static_cast<std::size_t>(BlockTable::hash_of(address) >> 59);
}

std::vector<std::uint64_t> addresses_at_home(std::size_t first, std::size_t last, std::size_t count) {
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t address = 16; addresses.size() < count; address += 16) {
    if (!is_in_first_segment(address)) continue;
    const std::size_t home = first_home(address);
    if (first <= last ? home >= first && home <= last : home >= first || home <= last) addresses.push_back(address);
  }
  return addresses;
}

Block put_block(BlockTable& table, const Block& block) {
  table.make_room(1);
  return table.put(block, table.home(block.address));
}
Block take_block(BlockTable& table, std::uint64_t address) {
  return table.take(address, table.home(address));
}

class Model {
 public:
  void insert(std::uint64_t address, std::uint64_t size, std::uint32_t part) {
    put_block(table, {address, size, part});
    map_[address] = {address, size, part};
  }

  // Whether both hold the same under this address; it is gone from both then.
  bool take(std::uint64_t address) {
    const Block got = take_block(table, address);
    const auto found = map_.find(address);
    if (found == map_.end()) return got.address == 0;
    const Block want = found->second;
    map_.erase(found);
    return got.address == want.address && got.size == want.size && got.part == want.part;
  }

  bool holds(std::uint64_t address) const { return map_.contains(address); }
  std::size_t size() const { return map_.size(); }
  std::vector<std::uint64_t> addresses() const {
    std::vector<std::uint64_t> result;
    for (const auto& [address, block] : map_) result.push_back(address);
    return result;
  }

  BlockTable table;

 private:
  std::unordered_map<std::uint64_t, Block> map_;
};

// Random inserts and takes over a few addresses; returns how often table and map disagreed.
std::size_t disagreements(const std::vector<std::uint64_t>& addresses, std::size_t steps, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Model model;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < steps; ++i) {
    const std::uint64_t address = addresses[random() % addresses.size()];
    if (!model.holds(address) && random() % 2 == 0)
      model.insert(address, random(), static_cast<std::uint32_t>(random()));
    else
      wrong += !model.take(address);
    wrong += model.table.size() != model.size();
  }
  for (const std::uint64_t address : model.addresses()) wrong += !model.take(address);
  return wrong + (model.table.size() != 0);
}

TEST_CASE("the block table does what a map does with scattered addresses") {
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> addresses;
  for (int i = 0; i < 3000; ++i) addresses.push_back((random() & 0x7fff'ffff'fff0) | 16);
  CHECK(disagreements(addresses, 300'000, 1) == 0);
}

TEST_CASE("the block table does what a map does with addresses of one arena") {
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t i = 0; i < 3000; ++i) addresses.push_back(0x5555'5555'0010 + i * 32);
  CHECK(disagreements(addresses, 300'000, 2) == 0);
}

TEST_CASE("the block table does what a map does when all addresses share one bucket") {
  for (const std::size_t home : {std::size_t{0}, std::size_t{20}, kFirstBuckets - 1})
    CHECK(disagreements(addresses_at_home(home, home, 40), 20'000, home) == 0);
}

TEST_CASE("the block table does what a map does when runs go round its end") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    CHECK(disagreements(addresses_at_home(kFirstBuckets - 6, 3, 60), 20'000, seed) == 0);
}

// All of them in one segment, which has just so many places.
TEST_CASE("a table that is full in one place still finds everything") {
  const std::vector<std::uint64_t> addresses = addresses_at_home(0, kFirstBuckets - 1, kFirstBlocks);
  CHECK(disagreements(addresses, 100'000, 3) == 0);
}

TEST_CASE("a table that grew many times holds what it held") {
  constexpr std::uint64_t kBlocks = 200'000;
  BlockTable table;
  for (std::uint64_t i = 1; i <= kBlocks; ++i) put_block(table, {i * 48, i, static_cast<std::uint32_t>(i)});
  CHECK(table.size() == kBlocks);
  std::size_t wrong = 0;
  for (std::uint64_t i = 1; i <= kBlocks; ++i) wrong += take_block(table, i * 48).size != i;
  CHECK(wrong == 0);
  CHECK(table.size() == 0);
}

// 32 bits of a size stand in the table; blocks of gigabytes have theirs beside it.
TEST_CASE("the block table holds sizes of every width") {
  BlockTable table;
  std::vector<std::uint64_t> sizes;
  for (unsigned bits = 0; bits < 64; ++bits) {
    const std::uint64_t power = std::uint64_t{1} << bits;
    sizes.insert(sizes.end(), {power - 1, power, power + 1});
  }
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < sizes.size(); ++i)
      put_block(table, {16 * (i + 1), sizes[i], static_cast<std::uint32_t>(i)});
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) wrong += take_block(table, 16 * (i + 1)).size != sizes[i];
    CHECK(wrong == 0);
  }
}

TEST_CASE("a block that is put where one stands takes its place, and gives it back") {
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 45;
  BlockTable table;
  CHECK(put_block(table, {16, 5, 1}).address == 0);
  CHECK(put_block(table, {16, kHuge, 2}).size == 5);
  CHECK(put_block(table, {16, kHuge + 1, 3}).size == kHuge);
  CHECK(put_block(table, {16, 7, 4}).size == kHuge + 1);
  CHECK(table.size() == 1);
  CHECK(take_block(table, 16).size == 7);
}

TEST_CASE("what is not in the table is not taken") {
  BlockTable table;
  CHECK(take_block(table, 16).address == 0);
  put_block(table, {16, 1, 2});
  CHECK(take_block(table, 32).address == 0);
  CHECK(take_block(table, 16).part == 2);
  CHECK(take_block(table, 16).address == 0);
}

// An empty place has the address 0: taking it once made the size wrap, and the table then doubled with every insert.
TEST_CASE("address zero is never in the table") {
  BlockTable table;
  for (int i = 0; i < 10; ++i) CHECK(take_block(table, 0).address == 0);
  CHECK(table.size() == 0);
  for (std::uint64_t i = 1; i <= 20; ++i) put_block(table, {i * 16, i, 0});
  CHECK(take_block(table, 0).address == 0);
  CHECK(table.size() == 20);
}

}  // namespace
}  // namespace leakwatch
