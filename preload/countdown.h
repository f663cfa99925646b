// SPDX-License-Identifier: Apache-2.0
//
// How many bytes a thread may allocate before its slow path has to look again: the distance to the next sample, or
// less.
//
// In a session whose interval may change, a long distance is interrupted by looks, or a thread that drew it in a storm
// would keep to it long after. That costs the estimates nothing. A distance has no memory: given that it is longer than
// the bytes that have passed, what is left of it is distributed as a new one. So, when a look falls into a block of s
// bytes, what is left is drawn anew with the old mean R for the rest of this block, which thereby is a sample with the
// chance of 1 - e^(-s/R), as any other; and if it is none, a new distance begins behind it, with the mean of that
// moment. The mean that decides about a block is always known before the block, and the sample carries it: the weight
// 1 / (1 - e^(-s/R)) is right whatever moved the interval.
#pragma once

#include <cstdint>

#include "preload/sampler.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

// In ThreadState::drawn_with, above the step: the count-down ends with a look and not with a sample.
inline constexpr std::uint8_t kEndsInLook = 0x80;
static_assert(shared::kLastStep < kEndsInLook);

// Three for two samples, and more where samples are megabytes apart: often enough for a thread that allocates a few
// megabytes a second, and never so often that looks cost more than samples do by default.
constexpr std::uint64_t bytes_between_looks(std::uint64_t mean) {
  constexpr std::uint64_t kLeast = std::uint64_t{64} << 10, kMost = std::uint64_t{4} << 20;
  return mean / 2 < kLeast ? kLeast : mean / 2 > kMost ? kMost : mean / 2;
}

inline std::uint8_t current_step(const Session& session) {
  if (!session.steered) return 0;
  const std::uint32_t step = session.header->interval_step.load(std::memory_order_relaxed);
  return shared::is_interval_step(step) ? static_cast<std::uint8_t>(step) : 0;
}

// Not in exact mode.
inline void begin_countdown(const Session& session, ThreadState& thread) {
  const std::uint8_t step = current_step(session);
  const std::uint64_t mean = shared::interval_of_step(step, session.sample_interval);
  const auto distance = static_cast<std::uint64_t>(draw_distance(thread.random, mean));
  const bool is_long = session.steered && distance > bytes_between_looks(mean);
  thread.bytes_until_sample = is_long ? bytes_between_looks(mean) : distance;
  thread.drawn_with = is_long ? step | kEndsInLook : step;
}

// For a block of so many bytes, in which the count-down ends: whether it is a sample, and the step of the interval that
// decided so. Begins the next count-down.
struct Decision {
  bool is_sample;
  std::uint8_t step;
};
inline Decision end_countdown(const Session& session, ThreadState& thread, std::uint64_t bytes) {
  const auto step = static_cast<std::uint8_t>(thread.drawn_with & ~kEndsInLook);
  bool is_sample = true;
  if ((thread.drawn_with & kEndsInLook) != 0) {
    // A signal handler may have begun another count-down since this one was found to be over: then all of the block is
    // what is left of it.
    const std::uint64_t passed = thread.bytes_until_sample <= bytes ? thread.bytes_until_sample : 0;
    const std::uint64_t rest_of_block = bytes - passed;
    const std::uint64_t mean = shared::interval_of_step(step, session.sample_interval);
    is_sample = static_cast<std::uint64_t>(draw_distance(thread.random, mean)) <= rest_of_block;
  }
  begin_countdown(session, thread);
  return {is_sample, step};
}

}  // namespace leakwatch::preload
