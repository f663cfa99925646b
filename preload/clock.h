// SPDX-License-Identifier: Apache-2.0
//
// Time stamps of events, and the clock for waits.
#pragma once

#include <cstdint>
#include <ctime>

#include "proto/shared_memory.h"

namespace leakwatch::preload {

// CLOCK_MONOTONIC through the vDSO: no system call on any machine that we care for, and errno is not touched.
inline std::uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// rdtscp waits for the loads before it. A plain rdtsc may run ahead of the load that fetched the pointer from another
// thread, and then a free would seem older than its allocation.
inline std::uint64_t time_stamp(shared::Clock clock) {
#if defined(__x86_64__)
  if (clock == shared::Clock::kTsc) [[likely]] {
    unsigned processor;
    return __builtin_ia32_rdtscp(&processor);
  }
#endif
  return monotonic_ns();
}

// The same for times that order nothing: it does not wait for what came before.
inline std::uint64_t unordered_time(shared::Clock clock) {
#if defined(__x86_64__)
  if (clock == shared::Clock::kTsc) [[likely]]
    return __builtin_ia32_rdtsc();
#endif
  return monotonic_ns();
}

}  // namespace leakwatch::preload
