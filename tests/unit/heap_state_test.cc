// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of the heap: exact counts by hand, the laws of the size classes, events that make no sense, and the
// estimator of the sampled mode, alone (weights, exact cancellation) and together with the sampler of the target
// (no bias).
#include "cli/state/heap_state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <unordered_map>

#include "preload/sampler.h"
#include "tests/unit/catch.h"
#include "tests/unit/heap_events.h"

namespace leakwatch {
namespace {

using shared::EventKind;

constexpr std::uint64_t kMean = 512 * 1024;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

HeapCounters sum(const HeapState& state) {
  HeapCounters total;
  for (const HeapState::Site& site : state.sites()) total += site.counters;
  return total;
}

HeapCounters after(std::uint64_t sample_interval, const std::vector<std::pair<std::size_t, Event>>& events) {
  HeapState state(sample_interval);
  for (const auto& [ring, event] : events) state.apply(ring, event);
  return sum(state);
}

// --- size classes ---

TEST_CASE("sizes up to 128 bytes have classes of 8 bytes, and nothing has one of its own") {
  CHECK(size_class(0) == 0);
  for (std::uint64_t size = 1; size <= 128; ++size) CHECK(size_class(size) == (size + 7) / 8 * 8);
}

TEST_CASE("there are four classes to a doubling") {
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> table = {{129, 160},
                                                                      {160, 160},
                                                                      {161, 192},
                                                                      {192, 192},
                                                                      {193, 224},
                                                                      {224, 224},
                                                                      {225, 256},
                                                                      {256, 256},
                                                                      {257, 320},
                                                                      {512, 512},
                                                                      {513, 640},
                                                                      {1000, 1024},
                                                                      {1024, 1024},
                                                                      {1025, 1280},
                                                                      {65536, 65536},
                                                                      {1 << 20, 1 << 20},
                                                                      {(1 << 20) + 1, 5 << 18}};
  for (const auto& [size, bound] : table) CHECK(size_class(size) == bound);
}

TEST_CASE("a class holds its bound, begins after the one before, and wastes at most a quarter") {
  std::uint64_t before = 128;
  for (std::uint64_t bound = size_class(129); bound < std::uint64_t{1} << 47; bound = size_class(bound + 1)) {
    REQUIRE(bound > before);
    REQUIRE(size_class(bound) == bound);
    REQUIRE(size_class(before + 1) == bound);
    REQUIRE(bound - before <= before / 4);
    before = bound;
  }
}

TEST_CASE("size classes never fall when sizes rise") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t a = random() >> (17 + random() % 47), b = random() >> (17 + random() % 47);
    if (size_class(std::min(a, b)) > size_class(std::max(a, b)) || size_class(a) < a) FAIL(a << " and " << b);
  }
}

// The site index numbers the classes without looking at their bounds: both must draw the same lines.
TEST_CASE("two sizes share a site exactly when they share a class") {
  HeapState state(1);
  std::unordered_map<std::uint64_t, std::int64_t> blocks_of_class;
  std::uint64_t address = 0;
  const auto add = [&](std::uint64_t size) {
    state.apply(1, allocation(++address, size));
    ++blocks_of_class[size_class(size)];
  };
  for (std::uint64_t size = 0; size < 5000; ++size) add(size);
  for (unsigned shift = 12; shift < 47; ++shift) {
    for (std::uint64_t eighth = 8; eighth < 16; ++eighth) {
      for (const std::uint64_t step : {0, 1, 2}) add((eighth << (shift - 3)) + step - 1);
    }
  }
  const std::vector<HeapState::Site> sites = state.sites();
  CHECK(sites.size() == blocks_of_class.size());
  for (const HeapState::Site& site : sites) CHECK(site.counters.alloc_objects == blocks_of_class[site.size_class]);
}

// --- exact mode ---

TEST_CASE("allocations and frees are counted exactly") {
  CHECK(after(1, {{1, allocation(16, 100)}}) == HeapCounters{1, 100, 1, 100});
  CHECK(after(1, {{1, allocation(16, 100)}, {2, release(16)}}) == HeapCounters{1, 100, 0, 0});
  CHECK(after(1, {{1, allocation(16, 0)}}) == HeapCounters{1, 0, 1, 0});
  CHECK(after(1, {{1, allocation(16, 100)}, {1, release(16)}, {1, allocation(16, 7)}}) == HeapCounters{2, 107, 1, 7});
}

// Which no block has. Among many others on their way, in tables of several sizes.
TEST_CASE("events of address 0 count, and are nobody's") {
  HeapState state(1);
  for (std::uint64_t address = 16; address < 100'000; address += 16) {
    state.take(1, allocation(address, 8));
    if (address % 1024 != 0) continue;
    state.take(1, allocation(0, 8));
    for (const EventKind kind : {EventKind::kFree, EventKind::kReallocFree, EventKind::kThreadEnd})
      state.take(1, {0, 0, 0, 0, kind});
  }
  state.finish();
  CHECK(state.live_blocks() == 100'000 / 16 - 1);
  CHECK(state.unknown_frees() == 2 * (100'000 / 1024));
}

TEST_CASE("sites are told apart by stack and class, in order of appearance") {
  HeapState state(1);
  for (const Event& event : {allocation(1, 100, 9), allocation(2, 300, 9), allocation(3, 100, 4), allocation(4, 310, 9),
                             release(1), allocation(5, 100, 9)})
    state.apply(1, event);
  const std::vector<HeapState::Site> sites = state.sites();
  REQUIRE(sites.size() == 3);
  CHECK((sites[0].stack == 9 && sites[0].size_class == 104 && sites[0].counters == HeapCounters{2, 200, 1, 100}));
  CHECK((sites[1].stack == 9 && sites[1].size_class == 320 && sites[1].counters == HeapCounters{2, 610, 2, 610}));
  CHECK((sites[2].stack == 4 && sites[2].size_class == 104 && sites[2].counters == HeapCounters{1, 100, 1, 100}));
}

TEST_CASE("a free counts where its block was allocated") {
  HeapState state(1);
  state.apply(1, allocation(16, 50, 1));
  state.apply(2, allocation(32, 50, 2));
  state.apply(3, release(16));
  CHECK(state.sites()[0].counters == HeapCounters{1, 50, 0, 0});
  CHECK(state.sites()[1].counters == HeapCounters{1, 50, 1, 50});
}

TEST_CASE("a realloc is a free of the old size and an allocation of the new") {
  const Event old_block = release(16, EventKind::kReallocFree);
  CHECK(after(1, {{1, allocation(16, 10)}, {1, old_block}, {1, allocation(16, 30)}}) == HeapCounters{2, 40, 1, 30});
  CHECK(after(1, {{1, allocation(16, 10)}, {1, old_block}, {1, allocation(32, 30)}}) == HeapCounters{2, 40, 1, 30});
}

TEST_CASE("a realloc that failed leaves the block as it was") {
  const Event old_block = release(16, EventKind::kReallocFree), failed = release(16, EventKind::kReallocFailed);
  CHECK(after(1, {{1, allocation(16, 10)}, {2, old_block}, {2, failed}}) == HeapCounters{1, 10, 1, 10});
  CHECK(after(1, {{1, allocation(16, 10)}, {2, old_block}, {2, failed}, {1, release(16)}}) ==
        HeapCounters{1, 10, 0, 0});
  CHECK(after(1, {{1, allocation(16, 10)}, {2, old_block}, {2, failed}, {2, old_block}, {2, failed}}) ==
        HeapCounters{1, 10, 1, 10});
}

TEST_CASE("only the last realloc of the same ring and address is taken back") {
  const Event old_block = release(16, EventKind::kReallocFree), failed = release(16, EventKind::kReallocFailed);
  CHECK(after(1, {{1, allocation(16, 10)}, {2, old_block}, {3, failed}}) == HeapCounters{1, 10, 0, 0});
  CHECK(after(1, {{1, allocation(16, 10)}, {2, old_block}, {2, release(32, EventKind::kReallocFailed)}}) ==
        HeapCounters{1, 10, 0, 0});
  CHECK(after(1, {{2, failed}}) == HeapCounters{});
  CHECK(after(1, {{1, allocation(16, 10)}, {2, old_block}, {2, failed}, {2, failed}}) == HeapCounters{1, 10, 1, 10});
}

TEST_CASE("failed reallocs of different rings do not disturb each other") {
  CHECK(after(1, {{1, allocation(16, 10)},
                  {2, allocation(32, 20)},
                  {1, release(16, EventKind::kReallocFree)},
                  {2, release(32, EventKind::kReallocFree)},
                  {1, release(16, EventKind::kReallocFailed)},
                  {2, release(32, EventKind::kReallocFailed)}}) == HeapCounters{2, 30, 2, 30});
}

// Ring 0 is everybody's once the others are taken: two threads' reallocs interleave there.
TEST_CASE("failed reallocs of two threads on the shared ring are both taken back") {
  CHECK(after(1, {{1, allocation(16, 10)},
                  {1, allocation(32, 20)},
                  {0, release(16, EventKind::kReallocFree)},
                  {0, release(32, EventKind::kReallocFree)},
                  {0, release(16, EventKind::kReallocFailed)},
                  {0, release(32, EventKind::kReallocFailed)}}) == HeapCounters{2, 30, 2, 30});
}

TEST_CASE("an address that is handed out again was freed before") {
  HeapState state(1);
  state.apply(1, allocation(16, 10, 1));
  state.apply(1, allocation(16, 30, 2));
  CHECK(state.implied_frees() == 1);
  CHECK(state.live_blocks() == 1);
  CHECK(state.sites()[0].counters == HeapCounters{1, 10, 0, 0});
  CHECK(state.sites()[1].counters == HeapCounters{1, 30, 1, 30});
}

TEST_CASE("frees of blocks that nobody saw are counted and change nothing else") {
  HeapState state(1);
  state.apply(1, release(16));
  state.apply(1, release(0));
  state.apply(1, release(48, EventKind::kReallocFree));
  CHECK(state.unknown_frees() == 3);
  CHECK(state.sites().empty());
}

TEST_CASE("the exact counters equal a plain model under random events") {
  std::mt19937_64 random(11);
  HeapState state(1);
  std::unordered_map<std::uint64_t, std::uint64_t> live;
  HeapCounters want;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t address = 16 * (1 + random() % 500), size = random() % 3000;
    if (const auto block = live.find(address); block != live.end()) {
      want.inuse_objects -= 1;
      want.inuse_space -= static_cast<std::int64_t>(block->second);
      live.erase(block);
      state.apply(random() % 4, release(address));
    } else {
      live[address] = size;
      want += {1, static_cast<std::int64_t>(size), 1, static_cast<std::int64_t>(size)};
      state.apply(random() % 4, allocation(address, size, static_cast<std::uint32_t>(random() % 5)));
    }
  }
  CHECK(sum(state) == want);
  CHECK(state.live_blocks() == live.size());
  CHECK(state.unknown_frees() + state.implied_frees() == 0);
}

// All kinds of events, over addresses that come again soon or much later, so that the table grows while they are on
// their way. Some are wrong: a free of what is not alive, a block where one lives.
TEST_CASE("how many events are on their way at once makes no difference") {
  for (const std::uint64_t interval : {std::uint64_t{1}, kMean}) {
    std::mt19937_64 random(12);
    HeapState at_once(interval), one_by_one(interval);
    for (int i = 0; i < 200'000; ++i) {
      const std::uint64_t near = random() % 20, far = random() % 40'000, which = random() % 16;
      const std::uint64_t address = 16 * (which < 6 ? near : far), size = random() % 3000;
      Event event = allocation(address, size, static_cast<std::uint32_t>(random() % 5));
      if (which % 3 == 0) event = release(address);
      if (which == 1) event = release(address, EventKind::kReallocFree);
      if (which == 2) event = release(address, EventKind::kReallocFailed);
      const std::size_t ring = random() % 4;
      at_once.take(ring, event);
      one_by_one.apply(ring, event);
      if (random() % 1000 == 0) at_once.finish();
    }
    at_once.finish();
    CHECK(at_once.live_blocks() > 10'000);
    CHECK(at_once.live_blocks() == one_by_one.live_blocks());
    CHECK(at_once.unknown_frees() == one_by_one.unknown_frees());
    CHECK(at_once.implied_frees() == one_by_one.implied_frees());
    const std::vector<HeapState::Site> sites = at_once.sites(), wanted = one_by_one.sites();
    REQUIRE(sites.size() == wanted.size());
    for (std::size_t i = 0; i < sites.size(); ++i) {
      REQUIRE(sites[i].stack == wanted[i].stack);
      REQUIRE(sites[i].size_class == wanted[i].size_class);
      REQUIRE(sites[i].counters == wanted[i].counters);
    }
  }
}

// --- hostile events ---

TEST_CASE("a size beyond any address space does not overflow the counters") {
  HeapState state(1);
  state.apply(1, allocation(16, kHuge));
  CHECK(sum(state).alloc_space == std::int64_t{1} << 47);
  state.apply(1, release(16));
  CHECK(sum(state).inuse_space == 0);
}

TEST_CASE("an allocation at address zero is counted and never lives") {
  HeapState state(1);
  for (int i = 0; i < 40; ++i) state.apply(1, allocation(0, 10));
  for (std::uint64_t i = 1; i <= 40; ++i) state.apply(1, allocation(i * 16, 10));
  CHECK(sum(state) == HeapCounters{80, 800, 40, 400});
  CHECK(state.live_blocks() == 40);
}

// 65536 blocks of the largest size that is believed add up to 2^63.
TEST_CASE("many sizes beyond any address space do not overflow the counters") {
  HeapState state(1);
  for (std::uint64_t i = 1; i <= 70'000; ++i) state.apply(1, allocation(i * 16, kHuge));
  CHECK(sum(state).alloc_space > 0);
}

// --- sampled mode ---

TEST_CASE("a sample stands for the inverse of the chance that it was taken") {
  for (const std::uint64_t size : {1u, 16u, 100u, 4096u, 524288u, 1u << 20, 1u << 23, 1u << 27}) {
    const HeapCounters counters = after(kMean, {{1, allocation(16, size)}});
    const double scale = 1 / -std::expm1(-static_cast<double>(size) / static_cast<double>(kMean));
    CHECK(std::fabs(static_cast<double>(counters.alloc_objects) - scale) <= 0.51);
    CHECK(std::fabs(static_cast<double>(counters.alloc_space) - scale * static_cast<double>(size)) <=
          0.51 + 1e-9 * scale * static_cast<double>(size));
    CHECK(counters.inuse_objects == counters.alloc_objects);
    CHECK(counters.inuse_space == counters.alloc_space);
  }
}

TEST_CASE("an empty block is sampled as one byte and adds no bytes") {
  const HeapCounters counters = after(kMean, {{1, allocation(16, 0)}});
  CHECK(counters.alloc_objects == after(kMean, {{1, allocation(16, 1)}}).alloc_objects);
  CHECK(counters.alloc_space == 0);
}

TEST_CASE("sampled blocks leave nothing behind when all are freed, and alloc never falls") {
  std::mt19937_64 random(5);
  HeapState state(kMean);
  std::vector<std::uint64_t> live;
  HeapCounters before;
  for (int i = 0; i < 20'000; ++i) {
    if (!live.empty() && random() % 2 == 0) {
      std::swap(live[random() % live.size()], live.back());
      state.apply(1, release(live.back(), random() % 4 == 0 ? EventKind::kReallocFree : EventKind::kFree));
      live.pop_back();
    } else {
      live.push_back(static_cast<std::uint64_t>(i + 1) * 16);
      state.apply(1, allocation(live.back(), (random() & 0x3fffff) >> (random() % 20),
                                static_cast<std::uint32_t>(random() % 3)));
    }
    if (i % 500 != 0) continue;
    const HeapCounters now = sum(state);
    REQUIRE((now.alloc_objects >= before.alloc_objects && now.alloc_space >= before.alloc_space));
    before = now;
  }
  for (const std::uint64_t address : live) state.apply(1, release(address));
  for (const HeapState::Site& site : state.sites())
    REQUIRE((site.counters.inuse_objects == 0 && site.counters.inuse_space == 0));
}

// Allocates one mix of sizes many times over, each time through a sampler of another seed, and compares the mean of the
// estimates with the truth. Four standard errors: one run in 16,000 would fail by chance, and the seeds are fixed.
TEST_CASE("the sampler and the scale together are unbiased") {
  const std::vector<std::uint64_t> sizes = {16, 100, 1000, 4096, 65536, 300'000, 1 << 20, 4 << 20};
  constexpr int kRounds = 1500, kTotalBytesEach = 8 << 20;
  double truth_objects = 0, truth_bytes = 0, objects = 0, objects_squared = 0, bytes = 0, bytes_squared = 0;
  for (const std::uint64_t size : sizes) {
    truth_objects += static_cast<double>(kTotalBytesEach / size);
    truth_bytes += static_cast<double>(kTotalBytesEach / size * size);
  }
  for (int round = 0; round < kRounds; ++round) {
    std::uint64_t random = static_cast<std::uint64_t>(round) * 7919 + 1, address = 0;
    std::int64_t until_sample = preload::draw_distance(random, kMean);
    HeapState state(kMean);
    for (const std::uint64_t size : sizes) {
      for (std::uint64_t i = 0; i < kTotalBytesEach / size; ++i) {
        ++address;
        until_sample -= static_cast<std::int64_t>(size);
        if (until_sample > 0) continue;
        state.apply(1, allocation(address, size));
        until_sample = preload::draw_distance(random, kMean);
      }
    }
    const HeapCounters counters = sum(state);
    const auto o = static_cast<double>(counters.alloc_objects), b = static_cast<double>(counters.alloc_space);
    objects += o;
    objects_squared += o * o;
    bytes += b;
    bytes_squared += b * b;
  }
  const auto errors_off = [](double total, double squares, double truth) {
    const double mean = total / kRounds, variance = squares / kRounds - mean * mean;
    return std::fabs(mean - truth) / std::sqrt(variance / kRounds);
  };
  CHECK(errors_off(objects, objects_squared, truth_objects) < 4);
  CHECK(errors_off(bytes, bytes_squared, truth_bytes) < 4);
}

}  // namespace
}  // namespace leakwatch
