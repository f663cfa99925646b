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

// A block from the bootstrap arena, for who cannot pass. From then on frees ask whether a block is the arena's.
void* allocate_early(std::size_t size, std::size_t alignment = 16);

}  // namespace leakwatch::preload
