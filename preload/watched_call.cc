// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/watched_call.h"

#include "preload/hook_gate.h"
#include "preload/ring_writer.h"
#include "preload/sampler.h"
#include "preload/session_start.h"
#include "preload/thread_end.h"
#include "preload/unwind.h"

namespace leakwatch::preload {

__thread ThreadState thread_state;

void WatchedCall::settle(std::uint64_t from) {
  const ErrnoScope errno_scope;
  start_session_once(from);
  // The session that closed the gate was there before the gate was closed: if it is not there now, it has ended (in a
  // child, without a word).
  const std::uint32_t gate = hook_gate.load(std::memory_order_acquire);
  session_.look_again();
  if (!session_) {
    if (gate >= kFirstSession) open_hook_gate_of(gate);
    return;
  }
  if (thread_.session == session_->id) return;
  has_just_joined_ = true;
  join_session(*session_, thread_);
}

void join_session(Session& session, ThreadState& thread) {
  const ErrnoScope errno_scope;
  thread.session = session.id;
  thread.token = 0;  // of an earlier session
  thread.ring = nullptr;
  if (current_thread_id(session) == session.process_id)
    session.main_thread_pointer.store(reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()),
                                      std::memory_order_relaxed);
  claim_ring(session, thread);
  // A number of its own for each join: short threads that follow each other on one ring must not draw the same numbers.
  thread.random = session.seed + session.joins.fetch_add(1, std::memory_order_relaxed) * 0xd1342543de82ef95;
  next_random(thread.random);
  thread.bytes_until_sample =
      session.exact ? 0 : static_cast<std::uint64_t>(draw_distance(thread.random, session.sample_interval));
  register_thread_end(session);
}

std::uint64_t take_stack(Session& session, const shared::Ring& ring, const void* hook_frame) {
  std::uint64_t* scratch = session.scratch_of(ring);
  // Before the walk: what is unloaded meanwhile was there when it began.
  const std::uint64_t epoch = session.modules.epoch();
  const std::uint32_t depth = unwind(session, CallSite::of(hook_frame), scratch, session.max_depth);
  return session.stacks.find_or_add(scratch, depth, epoch);
}

}  // namespace leakwatch::preload
