// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/watched_call.h"

#include "preload/countdown.h"
#include "preload/hook_gate.h"
#include "preload/random.h"
#include "preload/recording_cost.h"
#include "preload/ring_writer.h"
#include "preload/session_start.h"
#include "preload/thread_end.h"
#include "preload/unwind.h"

namespace leakwatch::preload {

__thread ThreadState thread_state;

// The session that closed the gate was there before the gate was closed: if it is not there when we look after this, it
// has ended (in a child, without a word).
std::uint32_t WatchedCall::start_watching(std::uint64_t from) {
  const ErrnoScope errno_scope;
  start_session_once(from);
  return hook_gate.load(std::memory_order_acquire);
}

bool WatchedCall::settle(Session* session, ThreadState& thread, std::uint32_t gate) {
  if (session == nullptr) {
    if (gate >= kFirstSession) open_hook_gate_of(gate);
    return false;
  }
  if (thread.session == session->id) return false;
  join_session(*session, thread);
  return true;
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

[[gnu::noinline]] std::uint64_t walk_stack(Session& session, ThreadState& thread, const void* hook_frame,
                                           std::uint64_t epoch, std::uint64_t known) {
  const CallSite site = CallSite::of(hook_frame);
  const Scratch scratch = session.scratch_of(*thread.ring);
  WalkRecord record(scratch.record, session.max_depth);
  const std::uint32_t depth = unwind(session, site, scratch.addresses, session.max_depth, record);
  const std::uint64_t stack = session.stacks.find_or_add(scratch.addresses, depth, epoch);
  if constexpr (kCheckWalks) count_walk(known, stack);
  session.walks.remember(site, session.stack_around(site.sp), thread, epoch, {record, scratch.addresses, stack});
  return stack;
}

std::uint64_t take_stack(Session& session, ThreadState& thread, const void* hook_frame) {
  // Before the walk: what is unloaded meanwhile was there when it began.
  const std::uint64_t epoch = session.modules.epoch();
  const CallSite site = CallSite::of(hook_frame);
  const std::uint64_t known = session.walks.find(site, session.stack_around(site.sp), thread, epoch);
  if (known != shared::kNoStack && !kCheckWalks) [[likely]]
    return known;
  return walk_stack(session, thread, hook_frame, epoch, known);
}

}  // namespace leakwatch::preload
