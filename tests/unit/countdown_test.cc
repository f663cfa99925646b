// SPDX-License-Identifier: Apache-2.0
//
// Sampling with an interval that changes, from the target's count-down to the reader's estimate: unbiased whatever
// moves the interval, and quick to notice that it was moved.
#include "preload/countdown.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <vector>

#include "cli/state/heap_state.h"
#include "preload/recorder.h"
#include "tests/unit/catch.h"
#include "tests/unit/own_thread.h"
#include "tests/unit/preload_session.h"

namespace leakwatch {
namespace {

using shared::EventKind;

constexpr std::uint64_t kFirstInterval = 100'000;  // none of the steps

RegionSettings steered(double limit = 0.01) {
  return {.sample_interval = kFirstInterval,
          .max_depth = 8,
          .seed = 1,
          .clock = shared::Clock::kMonotonic,
          .overhead_limit = limit};
}

// The same sizes in the same order in every round, from far below to far above the intervals.
const std::vector<std::uint64_t>& blocks() {
  static const std::vector<std::uint64_t> kBlocks = [] {
    std::vector<std::uint64_t> sizes;
    for (const std::uint64_t size : {64u, 1000u, 20'000u, 300'000u, 3'000'000u})
      sizes.insert(sizes.end(), std::clamp<std::size_t>(3'000'000 / (size + 1), 4, 8000), size);
    std::shuffle(sizes.begin(), sizes.end(), std::mt19937_64(5));
    return sizes;
  }();
  return kBlocks;
}

// What was estimated of one size, over all rounds, and how far that may be off. Given what came before, a block of s
// bytes that is a sample with the chance p adds s in the mean, with a variance of s^2 (1 - p) / p: these may be summed
// up, whatever moved the interval in between.
struct Estimate {
  double seen = 0, truth = 0, variance = 0;
  double errors_off() const { return std::fabs(seen - truth) / std::sqrt(variance); }
};
struct Estimates {
  std::map<std::uint64_t, Estimate> allocated, live;  // bytes, by class of size
};

bool is_freed(std::size_t block) {
  return block % 2 == 1;
}

void expect_block(const preload::ThreadState& thread, std::size_t i, Estimates& estimates) {
  const auto size = static_cast<double>(blocks()[i]);
  const std::uint32_t step = thread.drawn_with & ~preload::kEndsInLook;
  const auto mean = static_cast<double>(shared::interval_of_step(step, kFirstInterval));
  const double chance = -std::expm1(-size / mean);
  const auto add = [&](Estimate& estimate) {
    estimate.truth += size;
    estimate.variance += size * size * (1 - chance) / chance;
  };
  add(estimates.allocated[size_class(blocks()[i])]);
  if (!is_freed(i)) add(estimates.live[size_class(blocks()[i])]);
}

// Allocates all blocks as a thread of the target would, and then frees every other one. `move` is asked before each
// block for the step from then on, and told how many samples there were.
using Mover = std::function<std::uint32_t(std::size_t block, std::size_t samples)>;
void sample_blocks(SharedRegion& region, preload::Session& session, const Mover& move, HeapState& state,
                   Estimates& estimates) {
  preload::ThreadState& thread = own_thread();
  preload::begin_countdown(session, thread);
  std::vector<std::size_t> sampled;
  for (std::size_t i = 0; i < blocks().size(); ++i) {
    region.header().interval_step = move(i, sampled.size());
    expect_block(thread, i, estimates);
    const std::uint64_t size = blocks()[i];
    if (preload::count_down(size)) continue;
    const preload::Decision decision = preload::end_countdown(session, thread, shared::sampled_bytes(size));
    if (!decision.is_sample) continue;
    sampled.push_back(i);
    state.apply(1, {(i + 1) * 16, 0, size, 1, EventKind::kAllocate, decision.step});
  }
  for (const std::size_t i : sampled) {
    if (is_freed(i)) state.apply(1, {(i + 1) * 16, 0, 0, 0, EventKind::kFree});
  }
}

// Of bytes alone: the few blocks of a large size are rounded to whole ones. Four standard errors for each of ten
// figures: one run in a thousand would fail by chance, and the seeds are fixed.
void check_unbiased(const Mover& move) {
  constexpr std::uint64_t kRounds = 3000;
  SharedRegion region(steered());
  PreloadSession session(region);
  Estimates estimates;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    preload::thread_state = {};
    preload::thread_state.random = round * 7919 + 1;
    HeapState state(kFirstInterval);
    region.header().interval_step = 0;
    sample_blocks(region, *session, move, state, estimates);
    for (const HeapState::Site& site : state.sites()) {
      estimates.allocated[site.size_class].seen += static_cast<double>(site.counters.alloc_space);
      estimates.live[site.size_class].seen += static_cast<double>(site.counters.inuse_space);
    }
  }
  preload::thread_state = {};
  REQUIRE(estimates.allocated.size() == 5);
  REQUIRE(estimates.live.size() == 5);
  for (const auto& by_size : {estimates.allocated, estimates.live}) {
    for (const auto& [size, estimate] : by_size) {
      CAPTURE(size, estimate.truth, estimate.seen);
      CHECK(estimate.errors_off() < 4);
    }
  }
}

TEST_CASE("estimates are unbiased when the interval moves by the clock") {
  const std::vector<std::uint32_t> steps = {0, 40, 26, 38, 33, 24, 36};
  check_unbiased([&](std::size_t block, std::size_t) { return steps[block / 400 % steps.size()]; });
}

TEST_CASE("estimates are unbiased when the interval moves with the samples") {
  check_unbiased([](std::size_t block, std::size_t samples) {
    const std::size_t expected = block / 100;
    return samples > expected ? 40u : samples + 5 > expected ? 34u : 25u;
  });
}

TEST_CASE("estimates are unbiased when the size of the next block moves the interval") {
  check_unbiased([](std::size_t block, std::size_t) { return blocks()[block] > 10'000 ? 42u : 30u; });
}

TEST_CASE("a thread with a long way to go notices a smaller interval soon") {
  SharedRegion region(steered());
  PreloadSession session(region);
  for (std::uint64_t seed = 1; seed < 200; ++seed) {
    preload::ThreadState& thread = own_thread() = {};
    thread.random = seed;
    region.header().interval_step = shared::kLastStep;
    preload::begin_countdown(*session, thread);
    region.header().interval_step = shared::kFirstStep;
    std::uint64_t bytes = 0;
    for (; (thread.drawn_with & ~preload::kEndsInLook) != shared::kFirstStep; bytes += 64) {
      if (!preload::count_down(64)) preload::end_countdown(*session, thread, 64);
    }
    REQUIRE(bytes <= (4 << 20) + 64);
  }
  preload::thread_state = {};
}

TEST_CASE("a session that is not steered has no looks, whatever the step says") {
  SharedRegion region(steered(0));
  PreloadSession session(region);
  region.header().interval_step = shared::kLastStep;
  for (std::uint64_t seed = 1; seed < 200; ++seed) {
    preload::ThreadState thread{};
    thread.random = seed;
    std::uint64_t same = seed;
    preload::begin_countdown(*session, thread);
    REQUIRE(thread.drawn_with == 0);
    REQUIRE(thread.bytes_until_sample ==
            static_cast<std::uint64_t>(preload::draw_distance(same, region.settings().sample_interval)));
    const preload::Decision decision = preload::end_countdown(*session, thread, 1 << 30);
    REQUIRE((decision.is_sample && decision.step == 0));
  }
}

TEST_CASE("steps that are none are not taken up") {
  SharedRegion region(steered());
  PreloadSession session(region);
  for (const std::uint32_t step : {1u, 23u, 61u, 200u, 0xffffffffu}) {
    region.header().interval_step = step;
    CHECK(preload::current_step(*session) == 0);
  }
}

// --- the reader's side ---

Event sample(std::uint64_t address, std::uint64_t size, std::uint8_t step, std::uint32_t stack = 1) {
  return {address, 0, size, stack, EventKind::kAllocate, step};
}

TEST_CASE("samples of several intervals are one site, each with its own weight") {
  HeapState state(kFirstInterval);
  const std::vector<std::uint8_t> steps = {30, 0, 24, 60, 24};
  double objects = 0;
  std::uint64_t address = 0;
  for (const std::uint8_t step : steps) {
    state.apply(1, sample(++address, 1000, step));
    const auto interval = static_cast<double>(shared::interval_of_step(step, kFirstInterval));
    objects += 1 / -std::expm1(-1000 / interval);
  }
  REQUIRE(state.sites().size() == 1);
  const HeapCounters counters = state.sites()[0].counters;
  CHECK(std::fabs(static_cast<double>(counters.alloc_objects) - objects) <= 0.51);
  CHECK(std::fabs(static_cast<double>(counters.alloc_space) - 1000 * objects) <= 3);
  CHECK(state.total() == counters);
  CHECK(state.stacks() == std::vector<std::uint32_t>{1});
}

TEST_CASE("a free takes away what its own interval had added") {
  HeapState state(kFirstInterval);
  std::uint64_t address = 0;
  for (const std::uint8_t step : std::vector<std::uint8_t>{60, 24, 0, 37})
    state.apply(1, sample(++address, 1000, step));
  const HeapCounters all = state.total();
  state.apply(2, {1, 0, 0, 0, EventKind::kReallocFree});
  CHECK(state.total().inuse_space < all.inuse_space / 2);  // the first one stands for most of them
  state.apply(2, {1, 0, 0, 0, EventKind::kReallocFailed});
  CHECK(state.total() == all);
  for (std::uint64_t freed = 1; freed <= address; ++freed) state.apply(1, {freed, 0, 0, 0, EventKind::kFree});
  CHECK(state.total() == HeapCounters{all.alloc_objects, all.alloc_space, 0, 0});
}

TEST_CASE("sites keep their order when intervals come and go") {
  HeapState state(kFirstInterval);
  std::uint64_t address = 0;
  for (const std::uint8_t step : std::vector<std::uint8_t>{40, 0, 41}) {
    for (const std::uint32_t stack : {9u, 4u, 7u}) state.apply(1, sample(++address, 100, step, stack));
    const std::vector<HeapState::Site> sites = state.sites();
    REQUIRE(sites.size() == 3);
    CHECK((sites[0].stack == 9 && sites[1].stack == 4 && sites[2].stack == 7));
    CHECK(state.stacks() == std::vector<std::uint32_t>{9, 4, 7});
  }
}

}  // namespace
}  // namespace leakwatch
