// SPDX-License-Identifier: Apache-2.0
//
// What recording costs in the program, for leakwatch to see: the time between two looks at the clock, added up for each
// ring by the ring's owner. Only in sampled sessions, where two looks are little beside what lies between them. The
// subtraction and the load in front of every call, which sample nothing, are not in it.
#pragma once

#include <cstdint>

#include "preload/clock.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

// To a counter of the thread's ring, or of the shared one. The thread has joined the session. Cut at kMostCostTicks:
// also what is huge since the counters of two processors differ and it ran backwards.
inline void add_cost(Session& session, const ThreadState& thread, std::atomic<std::uint64_t> shared::Ring::*counter,
                     std::uint64_t ticks) {
  if (ticks > shared::kMostCostTicks) ticks = shared::kMostCostTicks;
  if (thread.ring == nullptr) [[unlikely]] {
    (session.rings[0].*counter).fetch_add(ticks, std::memory_order_relaxed);
    return;
  }
  std::atomic<std::uint64_t>& sum = thread.ring->*counter;  // nobody else writes to it
  sum.store(sum.load(std::memory_order_relaxed) + ticks, std::memory_order_relaxed);
}

// What the thread does while this lives. Not longer than the session is held.
class CostScope {
 public:
  CostScope(Session& session, const ThreadState& thread)
      : session_(session), thread_(thread), began_(session.exact ? 0 : unordered_time(session.clock)) {}
  ~CostScope() {
    if (!session_.exact) {
      add_cost(session_, thread_, &shared::Ring::cost_ticks, unordered_time(session_.clock) - began_);
    }
  }
  CostScope(const CostScope&) = delete;
  CostScope& operator=(const CostScope&) = delete;

 private:
  Session& session_;
  const ThreadState& thread_;
  const std::uint64_t began_;
};

}  // namespace leakwatch::preload
