// SPDX-License-Identifier: Apache-2.0
//
// The set of sampled blocks inside the target: against std::unordered_set, from several threads at once, and what it
// leaves behind. A filter element that does not return to zero would cost every later free of that address a probe; a
// tombstone that stays would fill the table in time.
#include "preload/sampled_set.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <random>
#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

using Removal = SampledSet::Removal;

const void* block(std::uint64_t address) {
  return reinterpret_cast<const void*>(address);
}

struct Fixture {
  Fixture() { set.start(table.data(), filter.data()); }
  std::vector<std::uint64_t> table = std::vector<std::uint64_t>(SampledSet::kPlaces);
  std::vector<std::uint8_t> filter = std::vector<std::uint8_t>(kFilterElements);
  SampledSet set{};

  bool table_is_empty() const {
    return std::all_of(table.begin(), table.end(), [](auto word) { return word == 0; });
  }
  bool filter_is_zero() const {
    return std::all_of(filter.begin(), filter.end(), [](auto count) { return count == 0; });
  }
};

// Addresses whose place in the table is among `span` ones from `first` on; repeats the table's hash on purpose.
std::vector<std::uint64_t> crowd(std::size_t first, std::size_t span, std::size_t count) {
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t address = 0x7f00'0000'0000; addresses.size() < count; address += 16) {
    const std::size_t home = (address * 0x9e3779b97f4a7c15) >> (64 - std::countr_zero(SampledSet::kPlaces));
    if (((home - first) & (SampledSet::kPlaces - 1)) < span) addresses.push_back(address);
  }
  return addresses;
}

void check_against_model(const std::vector<std::uint64_t>& addresses, int steps) {
  Fixture f;
  std::unordered_set<std::uint64_t> model;
  std::mt19937_64 random(1);
  int wrong = 0;
  for (int i = 0; i < steps; ++i) {
    const std::uint64_t address = addresses[random() % addresses.size()];
    wrong += f.set.contains(block(address)) != model.contains(address);
    if (model.contains(address)) {
      wrong += f.set.remove(block(address), false) != Removal::kRemoved;
      model.erase(address);
    } else if (random() % 2 == 0) {
      wrong += !f.set.insert(block(address), false);
      wrong += f.filter[filter_index(block(address))] == 0;
      model.insert(address);
    } else {
      wrong += f.set.remove(block(address), false) != Removal::kAbsent;
    }
  }
  for (const std::uint64_t address : model) wrong += f.set.remove(block(address), false) != Removal::kRemoved;
  CHECK(wrong == 0);
  CHECK(f.filter_is_zero());
}

TEST_CASE("the sampled set does what a set does with scattered addresses") {
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t i = 0; i < 5000; ++i) addresses.push_back(0x5555'0000'0000 + i * 4112);
  check_against_model(addresses, 200'000);
}

TEST_CASE("the sampled set does what a set does with addresses that crowd one place") {
  check_against_model(crowd(1000, 4, 60), 50'000);
}

TEST_CASE("the sampled set does what a set does when a run goes round the table's end") {
  check_against_model(crowd(SampledSet::kPlaces - 8, 16, 60), 50'000);
}

TEST_CASE("tombstones become empty places again when nothing lies behind them") {
  Fixture f;
  const std::vector<std::uint64_t> addresses = crowd(1000, 1, 20);
  for (const std::uint64_t address : addresses) REQUIRE(f.set.insert(block(address), false));
  for (std::size_t i = 0; i + 1 < addresses.size(); ++i) f.set.remove(block(addresses[i]), false);
  CHECK_FALSE(f.table_is_empty());
  CHECK(f.set.contains(block(addresses.back())));  // found across the tombstones
  f.set.remove(block(addresses.back()), false);
  CHECK(f.table_is_empty());
}

TEST_CASE("a tombstone's place is used again") {
  Fixture f;
  const std::vector<std::uint64_t> addresses = crowd(1000, 1, 3);
  for (const std::uint64_t address : addresses) f.set.insert(block(address), false);
  f.set.remove(block(addresses[0]), false);
  f.set.insert(block(addresses[0]), false);
  CHECK(std::count_if(f.table.begin(), f.table.end(), [](auto word) { return word != 0; }) == 3);
}

TEST_CASE("a full set takes no more, and takes again when there is room") {
  Fixture f;
  constexpr std::size_t kRoom = SampledSet::kPlaces * 7 / 8;
  std::size_t taken = 0;
  while (taken <= kRoom && f.set.insert(block(16 + taken * 16), false)) ++taken;
  CHECK(taken == kRoom);
  CHECK_FALSE(f.set.contains(block(16 + kRoom * 16)));
  std::size_t lost = 0;
  for (std::size_t i = 0; i < kRoom; ++i) lost += f.set.remove(block(16 + i * 16), false) != Removal::kRemoved;
  CHECK(lost == 0);
  CHECK(f.table_is_empty());
  CHECK(f.filter_is_zero());
  CHECK(f.set.insert(block(16), false));
}

// More than an element can count: it stays marked from then on, as nobody knows when the last of them has gone.
TEST_CASE("blocks that crowd on one element of the filter are all looked at") {
  Fixture f;
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t address = 0x7f00'0000'0000; addresses.size() < 300; address += 16) {
    if (filter_index(block(address)) == 4711) addresses.push_back(address);
  }
  for (const std::uint64_t address : addresses) REQUIRE(f.set.insert(block(address), false));
  CHECK(f.filter[4711] == kFilterFull);
  for (const std::uint64_t address : addresses) {
    REQUIRE(f.filter[4711] != 0);
    REQUIRE(f.set.remove(block(address), false) == Removal::kRemoved);
  }
  CHECK(f.table_is_empty());
  CHECK(std::count_if(f.filter.begin(), f.filter.end(), [](auto count) { return count != 0; }) <= 1);
}

// What a program frees in one place must not need cache lines from all over the filter, nor must blocks of which each
// is a power of two behind the other crowd.
TEST_CASE("the filter has neighbours next to each other, and spreads what lies far apart") {
  constexpr std::uint64_t kBlocks = 1000;
  for (std::uint64_t apart = 16; apart <= 1 << 21; apart *= 2) {
    CAPTURE(apart);
    std::set<std::size_t> elements, lines;
    for (std::uint64_t i = 0; i < kBlocks; ++i) elements.insert(filter_index(block(0x7f12'3456'7890 + i * apart)));
    for (const std::size_t element : elements) lines.insert(element / 64);
    CHECK(elements.size() == kBlocks);
    if (apart == 16) CHECK(lines.size() <= 2 * kBlocks / 64);
  }
}

TEST_CASE("every filter index lies in the filter") {
  std::mt19937_64 random(1);
  std::size_t largest = 0;
  for (int i = 0; i < 100'000; ++i) largest = std::max(largest, filter_index(block(random())));
  CHECK(largest < kFilterElements);
}

// Each thread's blocks are its own, as allocators hand them out; frees come from any thread, here from a neighbour that
// was handed the block. All blocks crowd into a few places of the table, so that the threads meet there.
void insert_and_remove_some(SampledSet& set, const std::vector<std::uint64_t>& mine, std::atomic<int>& wrong) {
  for (std::size_t i = 0; i < mine.size(); ++i) {
    wrong += !set.insert(block(mine[i]), false);
    wrong += !set.contains(block(mine[i]));
    wrong += set.contains(block(mine[i] + 8));
    if (i % 2 == 0) wrong += set.remove(block(mine[i]), false) != Removal::kRemoved;
  }
}

void remove_the_rest(SampledSet& set, const std::vector<std::uint64_t>& theirs, std::atomic<int>& wrong) {
  for (std::size_t i = 1; i < theirs.size(); i += 2) wrong += set.remove(block(theirs[i]), false) != Removal::kRemoved;
}

TEST_CASE("threads that insert, look up and remove at once lose nothing") {
  constexpr std::size_t kThreads = 4, kBlocks = 100, kRounds = 200;
  Fixture f;
  const std::vector<std::uint64_t> addresses = crowd(1000, 64, kThreads * kBlocks);
  std::vector<std::vector<std::uint64_t>> blocks(kThreads);
  for (std::size_t i = 0; i < addresses.size(); ++i) blocks[i % kThreads].push_back(addresses[i]);
  std::atomic<int> wrong{0};
  std::atomic<std::size_t> arrived{0};
  const auto meet = [&](std::size_t count) {
    ++arrived;
    while (arrived < count * kThreads) std::this_thread::yield();
  };
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t round = 0; round < kRounds; ++round) {
        meet(2 * round + 1);
        insert_and_remove_some(f.set, blocks[t], wrong);
        meet(2 * round + 2);
        remove_the_rest(f.set, blocks[(t + 1) % kThreads], wrong);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(f.filter_is_zero());
}

}  // namespace
}  // namespace leakwatch::preload
