// SPDX-License-Identifier: Apache-2.0
//
// See the header. Thread events are few and none may be lost: like frees, they wait for room.

#include "preload/thread_recorder.h"

#include <atomic>

#include "preload/clock.h"
#include "preload/next.h"
#include "preload/recording_cost.h"
#include "preload/ring_writer.h"
#include "preload/session.h"
#include "preload/thread_state.h"
#include "preload/unwind.h"
#include "preload/wake_page.h"
#include "preload/watched_call.h"

namespace leakwatch::preload {

namespace {

using shared::EventKind;

std::atomic<std::uint64_t> next_token{1};

void write(Session& session, ThreadState& thread, const std::uint64_t* words, std::uint32_t count) {
  if (!write_event_slowly(session, thread, words, count, shared::kFreeWaitNs)) session.end(shared::End::kReaderSlow);
}

void write_short(Session& session, ThreadState& thread, EventKind kind, std::uint64_t subject) {
  const std::uint64_t words[shared::kFreeWords] = {shared::event_word(kind, subject), time_stamp(session.clock)};
  write(session, thread, words, shared::kFreeWords);
}

void write_long(Session& session, ThreadState& thread, EventKind kind, std::uint64_t subject, std::uint64_t second,
                std::uint64_t third) {
  const std::uint64_t words[shared::kAllocateWords] = {shared::event_word(kind, subject), time_stamp(session.clock),
                                                       second, third};
  write(session, thread, words, shared::kAllocateWords);
}

std::uint64_t stack_of_creator(Session& session, ThreadState& thread, const void* hook_frame) {
  if (thread.ring == nullptr) return shared::kNoStack;
  return take_stack(session, thread, hook_frame);
}

void write_attributes(Session& session, ThreadState& thread, std::uint64_t token, const pthread_attr_t* attributes) {
  std::size_t stack = session.default_stack_bytes, guard = session.default_guard_bytes;
  int detached = PTHREAD_CREATE_JOINABLE;
  if (attributes != nullptr) {
    pthread_attr_getstacksize(attributes, &stack);
    pthread_attr_getguardsize(attributes, &guard);
    pthread_attr_getdetachstate(attributes, &detached);
  }
  write_long(session, thread, EventKind::kThreadAttributes, token,
             stack | (detached == PTHREAD_CREATE_DETACHED ? shared::kDetachedThread : 0), guard);
}

}  // namespace

ThreadStart* prepare_thread(const pthread_attr_t* attributes, void* routine, void* argument, const void* hook_frame) {
  const ErrnoScope errno_scope;
  const std::uint64_t from = CallSite::of(hook_frame).pc;
  wake_page.look(from);
  const WatchedCall call(from);
  if (!call.is_watched()) return nullptr;
  const CostScope cost(call.session(), call.thread());
  auto* start = static_cast<ThreadStart*>(next.malloc(sizeof(ThreadStart)));
  if (start == nullptr) return nullptr;
  *start = {routine, argument, next_token.fetch_add(1, std::memory_order_relaxed)};
  Session& session = call.session();
  write_long(session, call.thread(), EventKind::kThreadCreate, start->token, reinterpret_cast<std::uintptr_t>(routine),
             stack_of_creator(session, call.thread(), hook_frame));
  write_attributes(session, call.thread(), start->token, attributes);
  return start;
}

void abandon_thread(ThreadStart* start) {
  const ErrnoScope errno_scope;
  const WatchedCall call(0);
  if (call.is_watched()) write_short(call.session(), call.thread(), EventKind::kThreadNotCreated, start->token);
  next.free(start);
}

ThreadRoutine begin_thread(ThreadStart* start) {
  const ErrnoScope errno_scope;
  const ThreadStart mine = *start;
  next.free(start);
  const WatchedCall call(0);
  if (call.is_watched()) {
    const CostScope cost(call.session(), call.thread());
    call.thread().token = mine.token;
    write_long(call.session(), call.thread(), EventKind::kThreadStart, mine.token, pthread_self(),
               current_thread_id(call.session()));
  }
  return {mine.routine, mine.argument};
}

std::uint64_t time_before_release() {
  const SessionHold session;
  return session ? time_stamp(session->clock) : 0;
}

void record_release(pthread_t thread, std::uint64_t began, shared::ThreadRelease how) {
  const WatchedCall call(0);
  if (!call.is_watched() || began == 0) return;
  const CostScope cost(call.session(), call.thread());
  write_long(call.session(), call.thread(), EventKind::kThreadRelease, thread, began, static_cast<std::uint64_t>(how));
}

}  // namespace leakwatch::preload
