// SPDX-License-Identifier: Apache-2.0
//
// The exported functions as a table, for the patching of a process that already runs: a slot of the program must be
// given the address of our own function, while the name alone would find whatever the program finds by it.
#pragma once

#include <cstddef>

#include "preload/slot_patcher.h"

namespace leakwatch::preload {

// GCC warns of an alias that lacks the attributes of its original; clang neither warns nor knows how to copy them.
#if __has_attribute(copy)
#define LEAKWATCH_LIKE(name) , copy(name)
#else
#define LEAKWATCH_LIKE(name)
#endif

// Ends the definition of each exported function in its source: gives it a second name that only this object knows.
#define LEAKWATCH_OWN_NAME(name, result, parameters)                                  \
  extern "C" __attribute__((visibility("hidden"), alias(#name) LEAKWATCH_LIKE(name))) \
  result leakwatch_own_##name parameters;

inline constexpr std::size_t kMostHooks = 64;

// One for each hooked name that this object has a function for, without its original. Returns their number.
std::size_t list_own_functions(Hook* hooks);

// Makes the originals the next functions; those without one stay as they are.
void set_next_functions(const Hook* hooks, std::size_t count);

}  // namespace leakwatch::preload
