// SPDX-License-Identifier: Apache-2.0
//
// Puts events into the calling thread's ring, and waits, for a bounded time, when there is no room.
#pragma once

#include <cstdint>

#include "preload/session.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

// A thread has a ring of its own from its first event on; when all are taken it writes to the shared ring 0, under a
// lock. Claims one if need be.
void claim_ring(Session& session, ThreadState& thread);

// The thread ends or has nothing to write any more: somebody else may have its ring.
void release_ring(ThreadState& thread);

// False when it had to be given up: the event is counted as lost, or the session has ended.
bool write_event(Session& session, ThreadState& thread, const std::uint64_t* words, std::uint32_t count,
                 std::uint64_t wait_ns);

// For a nested call (a signal handler that interrupted a hook): the thread's own ring may be in the middle of an event,
// so the shared one is used, if its lock can be had.
bool write_nested_event(Session& session, const std::uint64_t* words, std::uint32_t count);

}  // namespace leakwatch::preload
