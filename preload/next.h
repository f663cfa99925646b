// SPDX-License-Identifier: Apache-2.0
//
// The functions behind ours: whatever the program would have called without us, found with RTLD_NEXT. Never libc's
// internal names: a program may bring an allocator as a library, and a block must go back where it came from.
#pragma once

#include <atomic>
#include <cstddef>

#include "preload/hook_table.h"

namespace leakwatch::preload {

struct NextFunctions {
#define LEAKWATCH_FIELD(name, result, parameters) result(*name) parameters;
  LEAKWATCH_MALLOC_HOOKS(LEAKWATCH_FIELD)
  LEAKWATCH_THREAD_HOOKS(LEAKWATCH_FIELD)
  LEAKWATCH_EXEC_HOOKS(LEAKWATCH_FIELD)
  LEAKWATCH_OPERATOR_HOOKS(LEAKWATCH_FIELD)
#undef LEAKWATCH_FIELD
};

extern NextFunctions next;
extern std::atomic<bool> next_is_known;

// False while the calling thread itself is looking the functions up: then only the bootstrap arena can serve it.
bool find_next_functions();

inline bool next_ready() {
  return next_is_known.load(std::memory_order_acquire) || find_next_functions();
}

}  // namespace leakwatch::preload
