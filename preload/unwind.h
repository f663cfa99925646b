// SPDX-License-Identifier: Apache-2.0
//
// The stack of the calling thread, from the program's own call of a hooked function outwards. No lock, no system call,
// no allocation, and no read outside the stack that the thread is known to stand on.
#pragma once

#include <cstdint>

#include "preload/walk_layout.h"

namespace leakwatch::preload {

struct Session;

// The registers that the walk needs, in the function that called us.
struct CallSite {
  std::uint64_t pc;  // return address into the program
  std::uint64_t sp;  // as it will be after the return
  std::uint64_t rbp;

  // From __builtin_frame_address(0) of an exported function (the object is built with frame pointers).
  static CallSite of(const void* hook_frame) {
    const auto* words = static_cast<const std::uint64_t*>(hook_frame);
    return {words[1], reinterpret_cast<std::uintptr_t>(words + 2), words[0]};
  }
};

// Writes at most `max_depth` addresses and perhaps a mark after them (shared_memory.h says what the addresses mean);
// `addresses` has room for max_depth + 1. Returns how many were written. `record` gets to know what the walk read.
std::uint32_t unwind(Session& session, const CallSite& site, std::uint64_t* addresses, std::uint32_t max_depth,
                     WalkRecord& record);

// The thread's stack: readable from `low` to `high`. A stack that we know nothing of (a fiber, an alternate signal
// stack) is trusted to the end of the page that sp is on.
struct StackExtent {
  std::uint64_t low;
  std::uint64_t high;
  bool holds(std::uint64_t address) const { return address >= low && address + 8 <= high && (address & 7) == 0; }
};

}  // namespace leakwatch::preload
