// SPDX-License-Identifier: Apache-2.0
//
// The clocks of a session: time stamps of events tick in a unit of their own. What a tick lasts is measured from the
// beginning of the session until the question is asked: the longer, the truer.
#pragma once

#include <chrono>
#include <cstdint>

#include "cli/drain/shared_region.h"

namespace leakwatch {

// CLOCK_REALTIME.
inline std::int64_t real_time_ns() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count();
}

// A moment on the clock of the events and on one that is known.
struct TickMoment {
  std::uint64_t ticks = 0;
  std::uint64_t ns = 0;  // CLOCK_MONOTONIC
};

inline TickMoment tick_moment(shared::Clock clock) {
  return {now(clock), monotonic_ns()};
}

// 0 when `later` is not after `first`.
inline double ns_per_tick(TickMoment first, TickMoment later) {
  if (later.ticks <= first.ticks || later.ns <= first.ns) return 0;
  return static_cast<double>(later.ns - first.ns) / static_cast<double>(later.ticks - first.ticks);
}

// Nanoseconds from `ticks` to `later`; 0 when that is not before it, or `later` not after `first`.
inline std::int64_t ns_until(std::uint64_t ticks, TickMoment first, TickMoment later) {
  if (ticks >= later.ticks) return 0;
  constexpr double kMostNs = 9e18;  // a stamp out of overwritten memory can claim any age
  const double ns = static_cast<double>(later.ticks - ticks) * ns_per_tick(first, later);
  return static_cast<std::int64_t>(ns < kMostNs ? ns : kMostNs);
}

}  // namespace leakwatch
