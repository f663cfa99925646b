// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/watched_call.h"

#include "preload/ring_writer.h"
#include "preload/sampler.h"
#include "preload/thread_end.h"
#include "preload/unwind.h"

namespace leakwatch::preload {

__thread ThreadState thread_state;

WatchedCall::WatchedCall(std::uint64_t from) {
  if (thread_.busy) return;
  entered_ = thread_.busy = true;
  start_session_once(from);
  session_ = current_session();
  if (session_ == nullptr || thread_.session == session_->id) return;
  has_just_joined_ = true;
  join_session(*session_, thread_);
}

void join_session(Session& session, ThreadState& thread) {
  thread.session = session.id;
  thread.ring = nullptr;
  claim_ring(session, thread);
  // A number of its own for each join: short threads that follow each other on one ring must not draw the same numbers.
  thread.random = session.seed + session.joins.fetch_add(1, std::memory_order_relaxed) * 0xd1342543de82ef95;
  next_random(thread.random);
  thread.bytes_until_sample = session.exact ? 0 : draw_distance(thread.random, session.sample_interval);
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
