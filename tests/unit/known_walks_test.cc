// SPDX-License-Identifier: Apache-2.0
//
// Fingerprints of walks, and the table that finds a stack by them: every walk that fits is found with its own stack,
// walks that differ by a bit are others, and threads that write at once leave nothing that is neither's.
#include "preload/known_walks.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

#include "preload/private_memory.h"
#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

constexpr char kSecret[] = "sixteen bytes...";

struct Keys : FingerprintKeys {
  explicit Keys(const char* secret = kSecret) { draw(secret); }
};

struct Table {
  Table() { known.start(memory); }
  ~Table() { munmap(memory, KnownWalks::kMemoryBytes); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  void* memory = map_private(KnownWalks::kMemoryBytes);
  KnownWalks known{};
};

Fingerprint fingerprint(const FingerprintKeys& keys, const std::vector<std::uint64_t>& words, std::uint64_t layout = 1,
                        std::uint64_t epoch = 0) {
  FingerprintSum sum(keys, layout, epoch);
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) sum.add(words[i], words[i + 1]);
  return sum.fingerprint();
}

// Like those of a program in which each of 24 calls is made from one of two places: as like as stacks can be.
Fingerprint path_number(const FingerprintKeys& keys, std::uint64_t number) {
  std::vector<std::uint64_t> words;
  for (std::uint64_t level = 0; level < 24; ++level)
    words.push_back(0x5555'5555'5000 + level * 64 + (number * 0x9e3779b1 >> level & 1) * 16);
  return fingerprint(keys, words);
}

TEST_CASE("a walk that differs in one bit of one word, in its layout or its epoch has another fingerprint") {
  const Keys keys;
  std::vector<std::uint64_t> words = {0x5555'5555'5000, 0x5555'5555'6010, 0x7fff'f7c0'1234, 0};
  const Fingerprint walk = fingerprint(keys, words);
  CHECK(fingerprint(keys, words) == walk);
  for (std::uint64_t& word : words) {
    for (int bit = 0; bit < 64; ++bit) {
      word ^= std::uint64_t{1} << bit;
      CHECK_FALSE(fingerprint(keys, words) == walk);
      word ^= std::uint64_t{1} << bit;
    }
  }
  CHECK_FALSE(fingerprint(keys, words, 2) == walk);
  CHECK_FALSE(fingerprint(keys, words, 1, 1) == walk);
  CHECK_FALSE(fingerprint(keys, {words[1], words[0], words[2], words[3]}) == fingerprint(keys, words));
  CHECK_FALSE(fingerprint(keys, {words[2], words[3], words[0], words[1]}) == fingerprint(keys, words));
}

TEST_CASE("another secret makes other fingerprints, and no two keys are alike") {
  const Keys keys, others("others and longer");
  CHECK_FALSE(fingerprint(keys, {1, 2, 3, 4}) == fingerprint(others, {1, 2, 3, 4}));
  std::vector<std::uint64_t> words(std::begin(keys.words), std::end(keys.words));
  std::sort(words.begin(), words.end());
  CHECK(std::adjacent_find(words.begin(), words.end()) == words.end());
}

TEST_CASE("a walk is known by its stack once it was added, and none before") {
  Table table;
  const Keys keys;
  CHECK(table.known.find(path_number(keys, 1)) == shared::kNoStack);
  table.known.add(path_number(keys, 1), 77);
  CHECK(table.known.find(path_number(keys, 1)) == 77);
  CHECK(table.known.find(path_number(keys, 2)) == shared::kNoStack);
}

TEST_CASE("a hundred thousand walks that are much alike are known at once, all but a few") {
  Table table;
  const Keys keys;
  constexpr std::uint64_t kWalks = 100'000;
  for (std::uint64_t i = 1; i <= kWalks; ++i) table.known.add(path_number(keys, i), i);
  std::uint64_t found = 0;
  for (std::uint64_t i = 1; i <= kWalks; ++i) found += table.known.find(path_number(keys, i)) == i;
  CHECK(found > kWalks - kWalks / 1000);
}

TEST_CASE("when all is full, the newest walk is known, and what is known is right") {
  Table table;
  const Keys keys;
  constexpr std::uint64_t kWalks = KnownWalks::kPlaces + KnownWalks::kPlaces / 4;
  std::uint64_t forgotten_at_once = 0, found = 0, wrong = 0;
  for (std::uint64_t i = 1; i <= kWalks; ++i) {
    table.known.add(path_number(keys, i), i);
    forgotten_at_once += table.known.find(path_number(keys, i)) != i;
  }
  for (std::uint64_t i = 1; i <= kWalks; ++i) {
    const std::uint64_t stack = table.known.find(path_number(keys, i));
    found += stack == i;
    wrong += stack != i && stack != shared::kNoStack;
  }
  CHECK(forgotten_at_once == 0);
  CHECK(wrong == 0);
  CHECK(found > kWalks / 2);
  CHECK(found < kWalks);
}

TEST_CASE("threads that add at once leave each walk its own stack, or none") {
  Table table;
  const Keys keys;
  // More than a table holds, so that they write over each other's places.
  constexpr std::uint64_t kWalks = 20'000;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 50'000; ++i) {
        const std::uint64_t number = 1 + random() % kWalks;
        const std::uint64_t stack = table.known.find(path_number(keys, number));
        if (stack == shared::kNoStack) table.known.add(path_number(keys, number), number);
        wrong += stack != number && stack != shared::kNoStack;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace leakwatch::preload
