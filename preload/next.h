// SPDX-License-Identifier: Apache-2.0
//
// The functions behind ours: whatever the program would have called without us, found with RTLD_NEXT. Never libc's
// internal names: a program may bring an allocator as a library, and a block must go back where it came from.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

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

// What every hook looks at first. Usually open; closed until the next functions are known. Any other value is the
// number of a session that began while the program ran: each thread then has to notice that it has not joined it yet,
// as its count-down to a sample may be that of a thread which goes unwatched for good.
enum HookGate : std::uint32_t { kOpen = 0, kClosed = 1, kFirstSession = 2 };
extern std::atomic<std::uint32_t> hook_gate;

// What a hook does when the gate is not open. False while the calling thread itself is looking the next functions up:
// then only the bootstrap arena can serve it.
bool pass_hook_gate();

inline bool next_ready() {
  return hook_gate.load(std::memory_order_acquire) == kOpen || pass_hook_gate();
}

// The session with this number is over.
void open_hook_gate(std::uint32_t session);

}  // namespace leakwatch::preload
