// SPDX-License-Identifier: Apache-2.0
//
// The functions behind ours: whatever the program would have called without us, found with RTLD_NEXT. Never libc's
// internal names: a program may bring an allocator as a library, and a block must go back where it came from.
#pragma once

#include <cstddef>

#include "preload/hook_gate.h"
#include "preload/hook_table.h"

namespace leakwatch::preload {

struct NextFunctions {
#define LEAKWATCH_FIELD(name, result, parameters) result(*name) parameters;
  LEAKWATCH_ALL_HOOKS(LEAKWATCH_FIELD)
#undef LEAKWATCH_FIELD
};

extern NextFunctions next __attribute__((visibility("hidden")));

// Finds them. False while the calling thread itself is at it: then only the bootstrap arena can serve it.
bool find_next_functions();

// False while only the bootstrap arena can serve the calling thread.
inline bool next_ready() {
  return hook_gate.load(std::memory_order_acquire) == kOpen || pass_hook_gate();
}

}  // namespace leakwatch::preload
