// SPDX-License-Identifier: Apache-2.0
//
// What every hook looks at first (next_ready() in next.h). Usually open; closed until the next functions are known. Any
// other value is the number of a session that began while the program ran: each thread then has to notice that it has
// not joined it yet, as its count-down to a sample may be that of a thread which goes unwatched for good.
#pragma once

#include <atomic>
#include <cstdint>

namespace leakwatch::preload {

enum HookGate : std::uint32_t { kOpen = 0, kClosed = 1, kFirstSession = 2 };
extern std::atomic<std::uint32_t> hook_gate;

// What a hook does when the gate is not open. False while the calling thread itself is looking the next functions up:
// then only the bootstrap arena can serve it.
bool pass_hook_gate();

// The session with this number is over.
void open_hook_gate(std::uint32_t session);

}  // namespace leakwatch::preload
