// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/watched_call.h"

#include "preload/countdown.h"
#include "preload/hook_gate.h"
#include "preload/recording_cost.h"
#include "preload/ring_writer.h"
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
  thread.ring = nullptr;  // of an earlier session, before the time of this one is counted
  const CostScope cost(session, thread);
  thread.session = session.id;
  thread.token = 0;  // of an earlier session
  thread.mapped_from = ThreadState::kNothingMapped;
  thread.foreign_stacks = 0;
  if (current_thread_id(session) == session.process_id)
    session.main_thread_pointer.store(reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()),
                                      std::memory_order_relaxed);
  claim_ring(session, thread);
  // A number of its own for each join: short threads that follow each other on one ring must not draw the same numbers.
  thread.random = session.seed + session.joins.fetch_add(1, std::memory_order_relaxed) * 0xd1342543de82ef95;
  next_random(thread.random);
  thread.bytes_until_sample = 0;
  if (!session.exact) begin_countdown(session, thread);
  register_thread_end(session);
}

// In the object that tests/walks is about, every walk that was found is done nevertheless, and both are compared.
#ifdef LEAKWATCH_CHECK_WALKS
constexpr bool kCheckWalks = true;
void count_walk(std::uint64_t known, std::uint64_t walked);
#else
constexpr bool kCheckWalks = false;
inline void count_walk(std::uint64_t, std::uint64_t) {}
#endif

std::uint64_t take_stack(Session& session, ThreadState& thread, const void* hook_frame) {
  const CallSite site = CallSite::of(hook_frame);
  const StackExtent extent = stack_around(session, site.sp);
  const Scratch scratch = session.scratch_of(*thread.ring);
  // Before the walk: what is unloaded meanwhile was there when it began.
  const std::uint64_t epoch = session.modules.epoch();
  const std::uint64_t known = session.walks.find(site, extent, thread, epoch, scratch.addresses);
  if (known != shared::kNoStack && !kCheckWalks) [[likely]]
    return known;
  WalkRecord record(scratch.record, session.max_depth);
  const std::uint32_t depth = unwind(session, site, scratch.addresses, session.max_depth, record);
  const std::uint64_t stack = session.stacks.find_or_add(scratch.addresses, depth, epoch);
  if constexpr (kCheckWalks) count_walk(known, stack);
  session.walks.remember(site, extent, thread, record, stack);
  return stack;
}

}  // namespace leakwatch::preload
