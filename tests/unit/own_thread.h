// SPDX-License-Identifier: Apache-2.0
//
// For tests: what the hooks know of the calling thread.
#pragma once

#include "preload/thread_state.h"

namespace leakwatch {

// By way of memory: g++ under UBSan takes the address of a thread-local variable of another file for null.
inline preload::ThreadState& own_thread() {
  preload::ThreadState* volatile own = &preload::thread_state;
  return *own;
}

}  // namespace leakwatch
