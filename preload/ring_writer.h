// SPDX-License-Identifier: Apache-2.0
//
// Puts events into the calling thread's ring, and waits, for a bounded time, when there is no room.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/session.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

// A thread has a ring of its own from its first event on; when all are taken it writes to the shared ring 0, under a
// lock. Claims one if need be.
void claim_ring(Session& session, ThreadState& thread);

// The thread ends or has nothing to write any more: somebody else may have its ring.
void release_ring(ThreadState& thread);

// Ends the session when nobody reads any more: then true.
bool reader_is_gone(Session& session);

// False when it had to be given up: the event is counted as lost, or the session has ended.
bool write_event_slowly(Session& session, ThreadState& thread, const std::uint64_t* words, std::uint32_t count,
                        std::uint64_t wait_ns);

// The same, for nearly every event: where there is room, no end of the ring and no reader to wake.
template <std::size_t kCount>
[[gnu::always_inline]] inline bool write_event(Session& session, ThreadState& thread,
                                               const std::uint64_t (&words)[kCount], std::uint64_t wait_ns) {
  shared::Ring* ring = thread.ring;
  if (ring == nullptr) [[unlikely]]
    return write_event_slowly(session, thread, words, kCount, wait_ns);
  const std::uint64_t position = ring->write_position.load(std::memory_order_relaxed);
  const std::uint64_t end = position + kCount, at = position & (session.ring_words - 1);
  // The position stands in memory that others may overwrite: it never leads out of the ring.
  const bool is_quiet = static_cast<std::int64_t>(thread.quiet_until - end) >= 0;
  if (!is_quiet || at > session.ring_words - kCount) [[unlikely]]
    return write_event_slowly(session, thread, words, kCount, wait_ns);
  std::uint64_t* room = session.words_of(*ring) + at;
#pragma GCC unroll 4  // so that the words never stand anywhere else
  for (std::size_t i = 0; i < kCount; ++i) room[i] = words[i];
  ring->write_position.store(end, std::memory_order_release);
  return true;
}

// For a nested call (a signal handler that interrupted a hook): the thread's own ring may be in the middle of an event,
// so the shared one is used, if its lock can be had.
bool write_nested_event(Session& session, const std::uint64_t* words, std::uint32_t count);

}  // namespace leakwatch::preload
