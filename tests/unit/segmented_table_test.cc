// SPDX-License-Identifier: Apache-2.0
//
// The segmented table against std::unordered_map, while it grows step by step and split by split; what it takes of
// memory; and keys that are chosen to crowd one segment.
#include "cli/state/segmented_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <unordered_map>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using Place = SegmentedTable::Place;

Place place_of(std::uint64_t key, std::uint64_t value) {
  return {key << 8, value};
}

bool has(const Place& place, std::uint64_t key, std::uint64_t value) {
  return place.head == key << 8 && place.tail == value;
}

// A table and a map that are told the same, and how often they disagreed.
class Pair {
 public:
  void put(std::uint64_t key, std::uint64_t value) {
    const Place before = table_.put(place_of(key, value), SegmentedTable::hash_of(key));
    const auto known = map_.find(key);
    wrong_ += known == map_.end() ? before.head != 0 : !has(before, key, known->second);
    map_[key] = value;
    wrong_ += table_.size() != map_.size();
  }

  void take(std::uint64_t key) {
    const Place taken = table_.take(key, SegmentedTable::hash_of(key));
    const auto known = map_.find(key);
    wrong_ += known == map_.end() ? taken.head != 0 : !has(taken, key, known->second);
    if (known != map_.end()) map_.erase(known);
    wrong_ += table_.size() != map_.size();
  }

  void find(std::uint64_t key) {
    const std::uint64_t* value = table_.find(key, SegmentedTable::hash_of(key));
    const auto known = map_.find(key);
    wrong_ += known == map_.end() ? value != nullptr : value == nullptr || *value != known->second;
  }

  void find_all() {
    for (const auto& [key, value] : map_) find(key);
  }
  void take_all() {
    const std::unordered_map<std::uint64_t, std::uint64_t> all = map_;
    for (const auto& [key, value] : all) take(key);
  }

  const SegmentedTable& table() const { return table_; }
  std::size_t wrong() const { return wrong_; }

 private:
  SegmentedTable table_;
  std::unordered_map<std::uint64_t, std::uint64_t> map_;
  std::size_t wrong_ = 0;
};

// Grows for a while, then shrinks for a while, to ever larger sizes, over keys that come again.
std::size_t wrong_in_tides(std::uint64_t seed, std::size_t steps, std::uint64_t keys, std::uint64_t distance) {
  std::mt19937_64 random(seed);
  Pair pair;
  for (std::size_t i = 0; i < steps; ++i) {
    const std::uint64_t key = 0x7f00'0000'0010 + random() % keys * distance;
    const bool is_flood = (i >> 15) % 3 != 2;
    const std::uint64_t what = random() % 16;
    if (what < (is_flood ? 9 : 3))
      pair.put(key, random());
    else if (what < 14)
      pair.take(key);
    else
      pair.find(key);
  }
  pair.find_all();
  pair.take_all();
  return pair.wrong();
}

TEST_CASE("the segmented table does what a map does while it grows and shrinks") {
  CHECK(wrong_in_tides(1, 1'000'000, 200'000, 48) == 0);
  CHECK(wrong_in_tides(2, 300'000, 20'000, 4096) == 0);
  CHECK(wrong_in_tides(3, 300'000, 20'000, 0x1'0000'0001) == 0);
  CHECK(wrong_in_tides(4, 200'000, 100, 16) == 0);
}

TEST_CASE("the segmented table holds the smallest and the largest of keys and values") {
  constexpr std::uint64_t kLargestKey = (std::uint64_t{1} << 56) - 1, kLargest = ~std::uint64_t{0};
  Pair pair;
  for (const std::uint64_t key : {std::uint64_t{1}, std::uint64_t{2}, kLargestKey - 1, kLargestKey})
    for (const std::uint64_t value : {std::uint64_t{0}, kLargest, std::uint64_t{7}}) pair.put(key, value);
  pair.find_all();
  pair.take_all();
  CHECK(pair.wrong() == 0);
}

// Blocks of one size, page by page, and at random: in no pattern of keys may a value take more than was promised.
TEST_CASE("a value takes at most 37 bytes once there are twenty thousand, at every step of growth") {
  for (const std::uint64_t distance : {16u, 48u, 272u, 4096u, 1u << 20}) {
    SegmentedTable table;
    double most = 0;
    for (std::uint64_t i = 1; i <= 100'000; ++i) {
      const std::uint64_t key = 0x5555'0000'0000 + i * distance;
      table.put({key << 8, i}, SegmentedTable::hash_of(key));
      if (i > 20'000) most = std::max(most, static_cast<double>(table.bytes()) / static_cast<double>(i));
    }
    INFO("keys " << distance << " apart");
    CHECK(most < 37);
  }
}

// A group of segments is moved when it gets another one, and nothing else is. That the groups do not grow all at once
// is what the second bound is about.
TEST_CASE("a table of a million values moves few of them at once") {
  constexpr std::uint64_t kWindow = 10'000;
  SegmentedTable table;
  std::size_t most_at_once = 0, most_in_window = 0, at_window = 0;
  for (std::uint64_t i = 1; i <= 1'000'000; ++i) {
    const std::size_t before = table.moved();
    const std::uint64_t key = 0x5555'0000'0000 + i * 272;
    table.put({key << 8, i}, SegmentedTable::hash_of(key));
    most_at_once = std::max(most_at_once, table.moved() - before);
    if (i % kWindow != 0) continue;
    most_in_window = std::max(most_in_window, table.moved() - at_window);
    at_window = table.moved();
  }
  CHECK(most_at_once > 1000);  // it did grow
  CHECK(most_at_once < 6000);
  CHECK(most_in_window < 20 * kWindow);
}

TEST_CASE("a table that everything was taken out of is as good as new") {
  std::mt19937_64 random(10);
  SegmentedTable table;
  std::unordered_map<std::uint64_t, bool> live;
  const auto toggle = [&](std::uint64_t key) {
    const std::uint64_t hash = SegmentedTable::hash_of(key);
    bool& is_live = live[key];
    is_live ? table.take(key, hash) : table.put({key << 8, 1}, hash);
    is_live = !is_live;
  };
  for (int i = 0; i < 500'000; ++i) toggle(16 * (1 + random() % 50'000));
  for (const auto& [key, is_live] : live) {
    if (is_live) toggle(key);
  }
  CHECK(table.size() == 0);
  std::size_t used = 0;
  for (const auto& [key, is_live] : live) {
    const SegmentedTable::Bucket* home = table.home(SegmentedTable::hash_of(key));
    used += home->taken() != 0 || home->passed() != 0;
  }
  CHECK(used == 0);
}

// By chance, or since somebody knows the secret. What is promised is that nothing breaks, and that it ends.
TEST_CASE("keys that all belong to one segment are kept as well, and do not swell the others") {
  std::mt19937_64 random(9);
  Pair pair;
  std::vector<std::uint64_t> crowd;
  for (std::uint64_t key = 16; crowd.size() < 8000; key += 16) {
    if ((SegmentedTable::hash_of(key) >> 24 & 0xff) == 3) crowd.push_back(key);
  }
  for (const std::uint64_t key : crowd) pair.put(key, random());
  CHECK(pair.table().bytes() < crowd.size() * 96);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t key = crowd[random() % crowd.size()];
    if (random() % 2 == 0)
      pair.put(key, random());
    else
      pair.take(key);
  }
  pair.take_all();
  CHECK(pair.wrong() == 0);
}

// Keys that the bare hash, which is public, would put into one bucket: its steps are all reversible.
std::uint64_t key_of_bare_hash(std::uint64_t hash) {
  const auto inverse = [](std::uint64_t odd) {
    std::uint64_t result = odd;
    for (int i = 0; i < 5; ++i) result *= 2 - odd * result;
    return result;
  };
  const std::uint64_t mixed = hash * inverse(0xd6e8feb86659fd93);
  return (mixed ^ mixed >> 32) * inverse(0x9e3779b97f4a7c15);
}

TEST_CASE("keys cannot be chosen so that they are in each other's way") {
  constexpr std::uint64_t kSame = 0xabcdef00000000ab, kKeys = 4096;
  REQUIRE((key_of_bare_hash(kSame) ^ kHashSecret) != key_of_bare_hash(kSame));
  std::size_t together = 0;
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    const std::uint64_t hash = SegmentedTable::hash_of(key_of_bare_hash(kSame | i << 12));
    together += (hash >> 24 & 0xff) == (kSame >> 24 & 0xff);
  }
  CHECK(together < kKeys / 16);
}

// The segment is chosen by the bits from the 24th on.
TEST_CASE("keys that differ in their highest bits alone are spread over the segments") {
  for (const int shift : {32, 36, 40, 44}) {
    std::vector<std::size_t> keys(64);
    for (std::uint64_t i = 1; i <= 4096; ++i) ++keys[(SegmentedTable::hash_of(0x10 | i << shift) >> 24) % keys.size()];
    CAPTURE(shift);
    CHECK(*std::max_element(keys.begin(), keys.end()) < 4 * 4096 / keys.size());
  }
}

}  // namespace
}  // namespace leakwatch
