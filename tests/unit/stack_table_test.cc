// SPDX-License-Identifier: Apache-2.0
//
// The table that turns stacks into ids, with the reader's own SharedRegion on the other side: one id for one stack,
// from whichever thread, and an id leads back to the very addresses.
#include "preload/stack_table.h"

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "cli/drain/shared_region.h"
#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

using Addresses = std::vector<std::uint64_t>;

struct Fixture {
  Fixture() { table.start(&region.header(), index.data()); }
  std::uint64_t id(const Addresses& addresses, std::uint64_t epoch = 0) {
    return table.find_or_add(addresses.data(), static_cast<std::uint32_t>(addresses.size()), epoch);
  }
  bool leads_back(std::uint64_t id, const Addresses& addresses, std::uint64_t epoch) const {
    const auto stack = region.stack(static_cast<std::uint32_t>(id));
    return stack && stack->addresses == addresses && stack->epoch == epoch;
  }

  SharedRegion region{RegionSettings{}};
  std::vector<std::uint64_t> index = std::vector<std::uint64_t>(StackTable::kIndexBytes / sizeof(std::uint64_t));
  StackTable table{};
};

Addresses stack_number(std::uint64_t number) {
  std::mt19937_64 random(number);
  Addresses addresses(1 + random() % 30);
  for (std::uint64_t& address : addresses) address = 0x7f00'0000'0000 + random() % 4096;
  addresses.push_back(number);
  return addresses;
}

TEST_CASE("the same stack has the same id, and another stack another") {
  Fixture f;
  const std::uint64_t id = f.id({1, 2, 3});
  CHECK(id != shared::kNoStack);
  CHECK(f.id({1, 2, 3}) == id);
  for (const Addresses& other : {Addresses{1, 2, 4}, {3, 2, 1}, {1, 2}, {1, 2, 3, 4}, {}}) CHECK(f.id(other) != id);
  CHECK(f.id({1, 2, 3}) == id);
}

TEST_CASE("the same addresses in another epoch are another stack") {
  Fixture f;
  const std::uint64_t before = f.id({1, 2, 3}, 0), after = f.id({1, 2, 3}, 1);
  CHECK(before != after);
  CHECK(f.leads_back(before, {1, 2, 3}, 0));
  CHECK(f.leads_back(after, {1, 2, 3}, 1));
}

TEST_CASE("an empty stack has an id as well") {
  Fixture f;
  const std::uint64_t id = f.id({});
  CHECK(id != shared::kNoStack);
  CHECK(f.id({}) == id);
  CHECK(f.leads_back(id, {}, 0));
}

TEST_CASE("a hundred thousand stacks are told apart, found again and read back") {
  constexpr std::uint64_t kStacks = 100'000;
  Fixture f;
  std::vector<std::uint64_t> ids;
  for (std::uint64_t i = 0; i < kStacks; ++i) ids.push_back(f.id(stack_number(i), i % 3));
  CHECK(std::set<std::uint64_t>(ids.begin(), ids.end()).size() == kStacks);
  const std::uint64_t used = f.region.header().stacks_used;
  std::size_t wrong = 0;
  for (std::uint64_t i = 0; i < kStacks; ++i) {
    const Addresses addresses = stack_number(i);
    wrong += f.id(addresses, i % 3) != ids[i];
    wrong += !f.leads_back(ids[i], addresses, i % 3);
  }
  CHECK(wrong == 0);
  CHECK(f.region.header().stacks_used == used);
  CHECK(f.region.header().stacks_refused == 0);
}

// The threads go from stack to stack together, so that they find the same empty place at the same moment.
TEST_CASE("threads that meet the same stacks agree on their ids") {
  constexpr std::uint64_t kThreads = 2, kStacks = 500;
  Fixture f;
  std::vector<Addresses> stacks;
  for (std::uint64_t i = 0; i < kStacks; ++i) stacks.push_back(stack_number(i));
  std::vector<std::vector<std::uint64_t>> ids(kThreads, std::vector<std::uint64_t>(kStacks));
  std::atomic<std::uint64_t> arrived{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kStacks; ++i) {
        ++arrived;
        for (int spins = 0; arrived < (i + 1) * kThreads; ++spins)
          if (spins > 10'000) std::this_thread::yield();
        ids[t][i] = f.id(stacks[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::uint64_t t = 1; t < kThreads; ++t) CHECK(ids[t] == ids[0]);
  CHECK(std::set<std::uint64_t>(ids[0].begin(), ids[0].end()).size() == kStacks);
  std::size_t wrong = 0;
  for (std::uint64_t i = 0; i < kStacks; ++i) wrong += !f.leads_back(ids[0][i], stacks[i], 0);
  CHECK(wrong == 0);
}

TEST_CASE("a full stack area refuses new stacks, counts them, and still knows the old ones") {
  Fixture f;
  const std::uint64_t old_id = f.id({1, 2, 3});
  f.region.header().stacks_used = f.region.header().stacks_words - 5;
  CHECK(f.id({4, 5, 6, 7}) == shared::kNoStack);
  CHECK(f.region.header().stacks_refused == 1);
  const std::uint64_t last = f.id({4, 5, 6});  // fits to the word
  CHECK(last == f.region.header().stacks_words - 5);
  CHECK(f.leads_back(last, {4, 5, 6}, 0));
  CHECK(f.id({7}) == shared::kNoStack);
  CHECK(f.id({}) == shared::kNoStack);
  CHECK(f.region.header().stacks_refused == 3);
  CHECK(f.id({1, 2, 3}) == old_id);
  CHECK(f.region.header().stacks_refused == 3);
}

TEST_CASE("entries lie in the area from its first usable word on, without gaps") {
  Fixture f;
  CHECK(f.id({1, 2, 3}) == 1);
  CHECK(f.id({9}) == 1 + shared::kStackHeaderWords + 3);
  CHECK(f.region.header().stacks_used == 1 + shared::kStackHeaderWords + 3 + shared::kStackHeaderWords + 1);
}

}  // namespace
}  // namespace leakwatch::preload
