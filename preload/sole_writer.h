// SPDX-License-Identifier: Apache-2.0
//
// The writers' side of Header::sole_writer: a thread that is the only one to write for a while needs no time stamps for
// its allocations. proto/shared_memory.h says what is agreed, and why it is exact; cli/drain/sole_writer.h is the other
// side.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/session.h"

namespace leakwatch::preload {

// What the reader says now. To be read after the real allocation, and before a time stamp.
inline std::uint32_t sole_writer(const Session& session) {
  return session.header->sole_writer.load(std::memory_order_relaxed);
}

// It says that this is the ring, and the ring has a time stamp that was taken later.
inline bool needs_no_stamp(const shared::Ring& ring, std::uint32_t word) {
  return word != 0 && word == ring.sole_writer;
}

void settle_sole_writer(Session& session, shared::Ring& ring, std::uint32_t word, std::uint32_t before_stamp);

// To be called after each event of an address in exact mode, and before that takes effect. `ring` is the one that was
// written to; `before_stamp`, what was read before the last time stamp in it, or 0.
[[gnu::always_inline]] inline void look_at_sole_writer(Session& session, shared::Ring& ring,
                                                       std::uint32_t before_stamp) {
  // The reader's grace allows for what a processor has under way, but not for what a compiler may move.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const std::uint32_t word = sole_writer(session);
  if (word != ring.sole_writer) [[unlikely]]
    settle_sole_writer(session, ring, word, before_stamp);
}

}  // namespace leakwatch::preload
