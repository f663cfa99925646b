// SPDX-License-Identifier: Apache-2.0
//
// One allocation or free from the decision to the ring: sample, unwind, find the stack's id, write. Called between the
// program and its allocator: nothing here touches errno, and a nested call (from a signal handler) passes through.

#include "preload/recorder.h"

#include "preload/clock.h"
#include "preload/countdown.h"
#include "preload/recording_cost.h"
#include "preload/ring_writer.h"
#include "preload/session_start.h"
#include "preload/sole_writer.h"
#include "preload/unwind.h"
#include "preload/wake_page.h"
#include "preload/watched_call.h"

namespace leakwatch::preload {

namespace {

// How far a thread that is not watched goes on before it looks closer again.
std::uint64_t unwatched_distance() {
  if (!session_start_is_over()) return 0;
  return wake_page.is_open() ? WakePage::kBytesBetweenLooks : ThreadState::kNever;
}

// What comes after a session's end is not part of it, and not lost to it.
void lose(Session& session, std::atomic<std::uint64_t>& count) {
  std::atomic<std::uint32_t>& frees_are_timed = session.header->frees_are_timed;
  if (frees_are_timed.load(std::memory_order_relaxed) == 0) frees_are_timed.store(1, std::memory_order_relaxed);
  if (session.header->ended.load(std::memory_order_relaxed) == 0) count.fetch_add(1, std::memory_order_relaxed);
}
void lose_allocation(Session& session) {
  lose(session, session.header->lost_allocations);
}
void lose_free(Session& session) {
  lose(session, session.header->lost_frees);
}

// Of one block, to be written.
struct Allocation {
  const void* block;
  std::size_t size;
  std::uint64_t time;
  std::uint64_t stack;
  std::uint64_t step;  // of the interval that made it a sample
};

inline bool write_long_allocation(Session& session, ThreadState& thread, const Allocation& what) {
  const auto address = reinterpret_cast<std::uintptr_t>(what.block);
  const std::uint64_t words[] = {shared::event_word(shared::EventKind::kAllocate, address), what.time, what.size,
                                 what.stack | what.step << shared::kStepShift};
  return write_event(session, thread, words, shared::kAllocationWaitNs);
}

// Here and below: exact mode goes through in a straight line, as it comes through for every call.
[[gnu::always_inline]] inline bool write_timed_allocation(Session& session, ThreadState& thread, const void* block,
                                                          std::size_t size, const void* hook_frame) {
  // Before the walk: a time stamp waits for what came before it, and the walk can go on beside what comes after.
  const std::uint64_t time = time_stamp(session.clock);
  const std::uint64_t stack = take_stack(session, thread, hook_frame);
  if (size >= shared::kSmallBytes) [[unlikely]]
    return write_long_allocation(session, thread, {block, size, time, stack, 0});
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uint64_t words[] = {shared::event_word(shared::EventKind::kSmallAllocate, address), time,
                                 size | stack << shared::kStackShift};
  return write_event(session, thread, words, shared::kAllocationWaitNs);
}

[[gnu::always_inline]] inline bool write_untimed_allocation(Session& session, ThreadState& thread, const void* block,
                                                            std::size_t size, const void* hook_frame) {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uint64_t words[] = {shared::event_word(shared::EventKind::kUntimedAllocate, address),
                                 size | take_stack(session, thread, hook_frame) << shared::kStackShift};
  return write_event(session, thread, words, shared::kAllocationWaitNs);
}

[[gnu::always_inline]] inline void write_allocation(Session& session, ThreadState& thread, const void* block,
                                                    std::size_t size, const void* hook_frame) {
  if (thread.ring == nullptr) return lose_allocation(session);  // no ring, so no room to take the stack in either
  const std::uint32_t sole = sole_writer(session);
  const bool is_written = needs_no_stamp(*thread.ring, sole) && size < shared::kSmallBytes
                              ? write_untimed_allocation(session, thread, block, size, hook_frame)
                              : write_timed_allocation(session, thread, block, size, hook_frame);
  look_at_sole_writer(session, *thread.ring, is_written ? sole : 0);
  if (!is_written) lose_allocation(session);
}

void write_sample(Session& session, ThreadState& thread, const void* block, std::size_t size, std::uint64_t step,
                  const void* hook_frame) {
  if (thread.ring == nullptr) return lose_allocation(session);
  const std::uint64_t time = time_stamp(session.clock);
  const std::uint64_t stack = take_stack(session, thread, hook_frame);
  if (session.sampled.insert(block, false)) {
    if (write_long_allocation(session, thread, {block, size, time, stack, step})) return;
    session.sampled.remove(block, false);
  }
  lose_allocation(session);
}

// A thread that has just joined has not counted this block yet.
[[gnu::noinline]] void sample_allocation(const WatchedCall& call, void* block, std::size_t size,
                                         const void* hook_frame) {
  Session& session = call.session();
  ThreadState& thread = call.thread();
  const CostScope cost(session, thread);
  if (call.has_just_joined() && count_down(size)) return;
  const Decision decision = end_countdown(session, thread, shared::sampled_bytes(size));
  if (decision.is_sample) write_sample(session, thread, block, size, decision.step, hook_frame);
}

// Nearly always in exact mode: see shared_memory.h.
[[gnu::always_inline]] inline bool may_be_untimed(const Session& session, const ThreadState& thread) {
  return session.exact && thread.ring != nullptr &&
         thread.ring->write_position.load(std::memory_order_relaxed) % shared::kTimedFreeEvery != 0 &&
         session.header->frees_are_timed.load(std::memory_order_relaxed) == 0;
}

[[gnu::always_inline]] inline bool write_free_event(Session& session, ThreadState& thread, bool nested, void* block,
                                                    shared::EventKind kind) {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (kind == shared::EventKind::kFree && !nested && may_be_untimed(session, thread)) [[likely]] {
    const std::uint64_t words[] = {shared::event_word(shared::EventKind::kUntimedFree, address)};
    return write_event(session, thread, words, shared::kFreeWaitNs);
  }
  const std::uint64_t words[] = {shared::event_word(kind, address), time_stamp(session.clock)};
  return nested ? write_nested_event(session, words, shared::kFreeWords)
                : write_event(session, thread, words, shared::kFreeWaitNs);
}

// A free that is given up would become a leak that is not there: rather end the session. A nested one (a signal handler
// that interrupted a hook of this thread) has nothing better than a try.
[[gnu::always_inline]] inline bool write_free(Session& session, ThreadState& thread, bool nested, void* block,
                                              shared::EventKind kind) {
  const bool is_written = write_free_event(session, thread, nested, block, kind);
  shared::Ring& ring = nested || thread.ring == nullptr ? session.rings[0] : *thread.ring;
  if (session.exact) look_at_sole_writer(session, ring, 0);
  if (is_written) return true;
  lose_free(session);
  if (!nested) session.end(shared::End::kReaderSlow);
  return false;
}

// False when the block is not one of the sampled.
bool forget_and_write(Session& session, ThreadState& thread, bool nested, void* block, shared::EventKind kind) {
  const SampledSet::Removal removal = session.sampled.remove(block, nested);
  if (removal == SampledSet::Removal::kBusy) lose_free(session);
  if (removal != SampledSet::Removal::kRemoved) return false;
  write_free(session, thread, nested, block, kind);
  return true;
}

// Frees that the filter lets through for nothing are cheap, and can be frequent: the time of each kLookupsPerMeasure
// stands for all of them.
bool is_sampled(Session& session, const ThreadState& thread, const void* block) {
  constexpr std::uint32_t kLookupsPerMeasure = 64;
  if (thread.session != session.id || thread.ring == nullptr || ++thread.ring->lookups % kLookupsPerMeasure != 0)
    return session.sampled.contains(block);
  const std::uint64_t began = unordered_time(session.clock);
  const bool found = session.sampled.contains(block);
  const std::uint64_t ticks = (unordered_time(session.clock) - began) * kLookupsPerMeasure;
  if (!found) add_cost(session, thread, &shared::Ring::lookup_ticks, ticks);
  return found;
}

[[gnu::noinline]] bool note_sampled_free(Session& session, ThreadState& thread, bool nested, void* block,
                                         shared::EventKind kind) {
  // Inside of a call whose time is taken already.
  if (nested) return forget_and_write(session, thread, nested, block, kind);
  if (!is_sampled(session, thread, block)) return false;
  if (thread.session != session.id) join_session(session, thread);
  const CostScope cost(session, thread);
  return forget_and_write(session, thread, nested, block, kind);
}

[[gnu::always_inline]] inline bool note_exact_free(Session& session, ThreadState& thread, bool nested, void* block,
                                                   shared::EventKind kind) {
  if (!nested && thread.session != session.id) join_session(session, thread);
  return write_free(session, thread, nested, block, kind);
}

// Most allocators look at what they keep in front of a block, or write to its beginning. The loads begin here, and go
// on while we are busy: a time stamp waits for other loads, but not for these. Any address may be asked for. Inlined by
// force, as g++ 12 leaves out calls of what only prefetches.
[[gnu::always_inline]] inline void prefetch_for_allocator(const void* block) {
  __builtin_prefetch(static_cast<const char*>(block) - 2 * sizeof(void*));
  __builtin_prefetch(block);
}

[[gnu::always_inline]] inline bool note_free(void* block, shared::EventKind kind) {
  ThreadState& thread = thread_state;
  if (block == nullptr || thread.own_call != ThreadState::OwnCall::kNone) return false;
  const BusyScope busy(thread);
  const SessionHold session;
  if (!session) return false;
  prefetch_for_allocator(block);
  return session->exact ? note_exact_free(*session, thread, busy.is_nested(), block, kind)
                        : note_sampled_free(*session, thread, busy.is_nested(), block, kind);
}

// Not recorded: the thread's ring may be in the middle of an event. In sampled mode the chance to have been a sample is
// so small that counting it as lost would mislead.
void record_nested_allocation(ThreadState& thread) {
  if (thread.own_call != ThreadState::OwnCall::kNone) {
    thread.own_call = ThreadState::OwnCall::kReached;
    return;
  }
  if (const SessionHold session; session && session->exact) lose_allocation(*session);
}

}  // namespace

void record_allocation(void* block, std::size_t size, const void* hook_frame) {
  const std::uint64_t from = CallSite::of(hook_frame).pc;
  wake_page.look(from);
  const WatchedCall call(from);
  if (call.is_nested()) return record_nested_allocation(call.thread());
  if (!call.is_watched()) {
    call.thread().bytes_until_sample = unwatched_distance();
    return;
  }
  if (!call.session().exact) return sample_allocation(call, block, size, hook_frame);
  call.thread().bytes_until_sample = 0;
  write_allocation(call.session(), call.thread(), block, size, hook_frame);
}

void record_free(void* block) {
  note_free(block, shared::EventKind::kFree);
}
bool record_realloc_free(void* block) {
  return note_free(block, shared::EventKind::kReallocFree);
}

// The block lives on. Its entry in the sampled set must be back before anybody frees it again.
void record_realloc_failure(void* block) {
  ThreadState& thread = thread_state;
  const BusyScope busy(thread);
  const SessionHold session;
  if (!session) return;
  const bool nested = busy.is_nested();
  if (!nested && thread.session != session->id) return;  // the free was another session's, or nobody's
  if (session->exact || session->sampled.insert(block, nested))
    write_free(*session, thread, nested, block, shared::EventKind::kReallocFailed);
}

}  // namespace leakwatch::preload
