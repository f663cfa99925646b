// SPDX-License-Identifier: Apache-2.0
//
// What every hook looks at first (next_ready() in next.h). Usually open; closed until the next functions are known. Any
// other value is the number of a session that began while the program ran: each thread then has to notice that it has
// not joined it yet, as its count-down to a sample may be that of a thread which goes unwatched for good.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

enum HookGate : std::uint32_t { kOpen = 0, kClosed = 1, kFirstSession = 2 };
extern std::atomic<std::uint32_t> hook_gate __attribute__((visibility("hidden")));

// What a hook does when the gate is not open. False while the calling thread itself is looking the next functions up:
// then only the bootstrap arena can serve it.
bool pass_hook_gate();

// After the next functions were found (anew). Opens the gate if it was closed for the lack of them.
void open_hook_gate();

// Sends every thread into the session with this number, and lets them pass again when it is over.
void close_hook_gate_for(std::uint32_t session);
void open_hook_gate_of(std::uint32_t session);

// Where malloc and free go on when they have nothing to record, so that they need not look at the gate as well: the
// next functions while it is open, and otherwise functions that pass it first.
struct ShortCuts {
  std::atomic<void* (*)(std::size_t)> malloc;
  std::atomic<void (*)(void*)> free;
};
extern ShortCuts short_cuts __attribute__((visibility("hidden")));

}  // namespace leakwatch::preload
