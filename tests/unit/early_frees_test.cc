// SPDX-License-Identifier: Apache-2.0
//
// Frees that come before their block's allocation, as the heap's state has them: what they wait for, when they are
// given up, and that they change nothing in the end.
#include "cli/state/early_frees.h"

#include <algorithm>
#include <random>
#include <unordered_map>
#include <vector>

#include "cli/state/heap_state.h"
#include "tests/unit/catch.h"
#include "tests/unit/heap_events.h"

namespace leakwatch {
namespace {

using shared::EventKind;

TEST_CASE("a free that came before its allocation is done with when that comes") {
  HeapState state(1);
  state.expect_early_frees(10);
  state.apply(2, release(16));
  CHECK(state.live_blocks() == 0);
  CHECK(state.total() == HeapCounters{});
  state.apply(1, allocation(16, 100));
  CHECK(state.live_blocks() == 0);
  CHECK(state.total() == HeapCounters{1, 100, 0, 0});
  state.apply(1, allocation(16, 7));
  CHECK(state.total() == HeapCounters{2, 107, 1, 7});
  state.settle_early_frees(10);
  CHECK(state.unknown_frees() + state.implied_frees() == 0);
}

TEST_CASE("each of several frees that came early stands for one allocation, whatever its size") {
  for (const std::uint64_t size : {std::uint64_t{8}, std::uint64_t{1} << 40}) {
    HeapState state(1);
    state.expect_early_frees(10);
    for (int i = 0; i < 3; ++i) state.apply(2, release(16));
    for (int i = 0; i < 4; ++i) state.apply(1, allocation(16, size));
    CHECK(state.live_blocks() == 1);
    const auto bytes = static_cast<std::int64_t>(size);
    CHECK(state.total() == HeapCounters{4, 4 * bytes, 1, bytes});
    state.apply(2, release(16));
    CHECK(state.total() == HeapCounters{4, 4 * bytes, 0, 0});
    CHECK(state.unknown_frees() + state.implied_frees() == 0);
  }
}

// In whatever way frees are told apart quickly, some addresses are alike.
TEST_CASE("frees wait at many addresses, and each is found") {
  HeapState state(1);
  state.expect_early_frees(10);
  constexpr std::uint64_t kFrees = 20'000;
  for (std::uint64_t i = 1; i <= kFrees; ++i) state.apply(2, release(16 * i));
  for (std::uint64_t i = 1; i <= kFrees; ++i) state.apply(1, allocation(16 * i, 8));
  CHECK(state.live_blocks() == 0);
  for (std::uint64_t i = 1; i <= kFrees; ++i) state.apply(1, allocation(16 * i, 8));
  CHECK(state.live_blocks() == kFrees);
  CHECK(state.unknown_frees() + state.implied_frees() == 0);
}

TEST_CASE("a free whose allocation can come no more is unknown, and what comes later lives") {
  HeapState state(1);
  state.expect_early_frees(10);
  state.apply(2, release(16));
  state.apply(2, release(32));
  state.settle_early_frees(9);
  CHECK(state.unknown_frees() == 0);
  state.expect_early_frees(20);
  state.apply(2, release(32));
  state.settle_early_frees(10);
  CHECK(state.unknown_frees() == 1);
  state.apply(1, allocation(16, 100));
  state.apply(1, allocation(32, 100));  // the later one may be its own
  CHECK(state.live_blocks() == 1);
  state.settle_early_frees(20);
  CHECK(state.unknown_frees() == 2);
  CHECK(state.total() == HeapCounters{2, 200, 1, 100});
}

TEST_CASE("where no free comes early, one that finds no block is unknown at once") {
  HeapState state(1);
  state.expect_early_frees(10);
  state.expect_early_frees(std::nullopt);
  state.apply(2, release(16));
  CHECK(state.unknown_frees() == 1);
  state.apply(1, allocation(16, 100));
  CHECK(state.live_blocks() == 1);
}

TEST_CASE("when no free comes early any more, what waited is unknown, and what comes later is nobody's") {
  HeapState state(1);
  state.expect_early_frees(10);
  state.apply(2, release(16));
  state.expect_early_frees(std::nullopt);
  CHECK(state.unknown_frees() == 1);
  state.apply(2, release(16));
  CHECK(state.unknown_frees() == 2);
  state.apply(1, allocation(16, 100));
  state.settle_early_frees(10);
  CHECK(state.live_blocks() == 1);
  state.apply(1, release(16));
  CHECK(state.total() == HeapCounters{1, 100, 0, 0});
  CHECK(state.unknown_frees() == 2);
}

TEST_CASE("an allocation that came after the rings were looked at is not what a free waited for") {
  HeapState state(1);
  state.expect_early_frees(10);
  for (int i = 0; i < 3; ++i) state.apply(2, release(16));
  state.apply(1, {16, 10, 100, 1, EventKind::kAllocate});
  CHECK(state.live_blocks() == 0);
  state.apply(1, {16, 11, 100, 1, EventKind::kAllocate});
  CHECK(state.live_blocks() == 1);
  CHECK(state.unknown_frees() == 2);
  CHECK(state.total() == HeapCounters{2, 200, 1, 100});
}

// The block goes to another thread, which frees it.
TEST_CASE("a realloc that fails gives the block back to the free that came between") {
  for (const std::size_t ring : {0, 1}) {
    HeapState state(1);
    state.expect_early_frees(10);
    state.apply(1, allocation(16, 100));
    state.apply(ring, release(16, EventKind::kReallocFree));
    state.apply(2, release(16));
    state.apply(ring, release(16, EventKind::kReallocFailed));
    CHECK(state.live_blocks() == 0);
    CHECK(state.total() == HeapCounters{1, 100, 0, 0});
    state.settle_early_frees(10);
    CHECK(state.unknown_frees() == 0);
  }
}

// A free of a later block took the old one, and the realloc of that fails.
TEST_CASE("a realloc that had nothing to free, and fails, frees nothing later") {
  for (const std::size_t ring : {0, 1}) {
    HeapState state(1);
    state.expect_early_frees(10);
    state.apply(1, allocation(16, 100));
    state.apply(2, release(16));
    state.apply(ring, release(16, EventKind::kReallocFree));
    state.apply(ring, release(16, EventKind::kReallocFailed));
    CHECK(state.live_blocks() == 0);
    state.apply(1, allocation(16, 7));
    CHECK(state.total() == HeapCounters{2, 107, 1, 7});
    state.settle_early_frees(10);
    CHECK(state.unknown_frees() == 0);
  }
}

// One unknown free, and then each allocation takes the free before it for its own: that must not cost more and more.
TEST_CASE("a free that waits again and again at one address is no more than one that waits") {
  HeapState state(1);
  state.expect_early_frees(10);
  for (int i = 0; i < 1'000'000; ++i) {
    state.apply(1, release(16));
    state.apply(1, allocation(16, 8));
  }
  state.apply(1, release(16));
  CHECK(state.live_blocks() == 0);
  state.settle_early_frees(10);
  CHECK(state.unknown_frees() == 1);
}

TEST_CASE("overwritten memory cannot have more frees wait than there is room for") {
  HeapState state(1);
  state.expect_early_frees(10);
  constexpr std::uint64_t kFrees = 3'000'000;
  for (std::uint64_t i = 1; i <= kFrees; ++i) {
    if (i == kFrees / 2) state.expect_early_frees(11);
    state.apply(2, release(i * 16));
  }
  CHECK(state.unknown_frees() > kFrees / 4);
  CHECK(state.live_blocks() == 0);
  state.settle_early_frees(11);
  CHECK(state.unknown_frees() == kFrees);
}

// Any history in which each block is freed once, with frees moved ahead at random; some reallocs fail.
TEST_CASE("frees that come early change nothing in the end") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<std::size_t, Event>> history;
    std::unordered_map<std::uint64_t, std::uint64_t> live;
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t address = 16 * (1 + random() % 12);
      const std::size_t ring = 1 + random() % 3;
      if (live.count(address) != 0 && random() % 4 == 0) {
        history.emplace_back(ring, release(address, EventKind::kReallocFree));
        history.emplace_back(ring, release(address, EventKind::kReallocFailed));
      } else if (live.erase(address) != 0) {
        history.emplace_back(ring, release(address));
        const std::size_t back = random() % 3 == 0 ? random() % history.size() : 0;
        std::rotate(history.end() - 1 - static_cast<std::ptrdiff_t>(back), history.end() - 1, history.end());
      } else {
        live[address] = 1 + random() % 100;
        history.emplace_back(ring, allocation(address, live[address]));
      }
    }
    HeapState state(1);
    state.expect_early_frees(10);
    for (const auto& [ring, event] : history) state.apply(ring, event);
    state.settle_early_frees(10);
    std::int64_t bytes = 0;
    for (const auto& [address, size] : live) bytes += static_cast<std::int64_t>(size);
    const HeapCounters counters = state.total();
    REQUIRE(counters.inuse_objects == static_cast<std::int64_t>(live.size()));
    REQUIRE(counters.inuse_space == bytes);
    REQUIRE(state.live_blocks() == live.size());
    REQUIRE(state.unknown_frees() + state.implied_frees() == 0);
  }
}

}  // namespace
}  // namespace leakwatch
