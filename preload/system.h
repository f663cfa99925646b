// SPDX-License-Identifier: Apache-2.0
//
// System calls without libc: errno stays the program's, nothing is interposed, no lock is taken. Every call returns the
// kernel's answer, a negative error number on failure. Only start-up and the rare waits come here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>

namespace leakwatch::preload {

inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#else
#error "no system calls for this machine yet"
#endif
}

inline long as_argument(const void* pointer) {
  return static_cast<long>(reinterpret_cast<std::uintptr_t>(pointer));
}

inline std::uint32_t thread_id() {
  return static_cast<std::uint32_t>(system_call(SYS_gettid));
}

inline void yield_processor() {
  system_call(SYS_sched_yield);
}

// The words live in memory shared between processes, hence no FUTEX_PRIVATE_FLAG.
inline void futex_wait(const void* word, std::uint32_t expected, std::uint64_t timeout_ns) {
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                         static_cast<long>(timeout_ns % 1'000'000'000)};
  system_call(SYS_futex, as_argument(word), FUTEX_WAIT, static_cast<long>(expected), as_argument(&timeout));
}

// Lets others run for a moment. A futex, too, since a program that sandboxed itself always allows that one.
inline void nap() {
  static const std::uint32_t nobody_wakes = 0;
  futex_wait(&nobody_wakes, 0, 50'000);
}

inline void futex_wake(const void* word, int count) {
  system_call(SYS_futex, as_argument(word), FUTEX_WAKE, count);
}

}  // namespace leakwatch::preload
