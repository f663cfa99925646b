// SPDX-License-Identifier: Apache-2.0
//
// A lock that is held for a few instructions, and waited for no longer than is said: its holder may have been ended, or
// interrupted by a signal handler on the very thread that asks.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/clock.h"
#include "preload/system.h"

namespace leakwatch::preload {

// `lock`: 0 while it is free. With `wait_ns` 0 it is only tried for a moment.
inline bool take_lock(std::atomic<std::uint32_t>& lock, std::uint64_t wait_ns) {
  constexpr int kSpins = 1000;
  const auto try_it = [&lock] {
    return lock.load(std::memory_order_relaxed) == 0 && lock.exchange(1, std::memory_order_acquire) == 0;
  };
  for (int i = 0; i < kSpins; ++i) {
    if (try_it()) return true;
    __builtin_ia32_pause();
  }
  if (wait_ns == 0) return false;
  const std::uint64_t give_up = monotonic_ns() + wait_ns;
  while (!try_it()) {
    if (monotonic_ns() > give_up) return false;
    nap();
  }
  return true;
}

inline void give_lock_back(std::atomic<std::uint32_t>& lock) {
  lock.store(0, std::memory_order_release);
}

}  // namespace leakwatch::preload
