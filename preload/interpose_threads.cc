// SPDX-License-Identifier: Apache-2.0
//
// The exported thread functions. A creation is recorded before the real one, so that the new thread's own words come
// later; a join or detach after it succeeded, with the time at which the call began, since the handle may belong to
// another thread by then.

#include <threads.h>

#include <cerrno>

#include "preload/interpose_table.h"
#include "preload/next.h"
#include "preload/thread_recorder.h"

#define LEAKWATCH_EXPORT extern "C" __attribute__((visibility("default")))

using leakwatch::preload::abandon_thread;
using leakwatch::preload::begin_thread;
using leakwatch::preload::next;
using leakwatch::preload::next_ready;
using leakwatch::preload::prepare_thread;
using leakwatch::preload::record_release;
using leakwatch::preload::ThreadRoutine;
using leakwatch::preload::ThreadStart;
using leakwatch::preload::time_before_release;
using leakwatch::shared::ThreadRelease;

namespace {

// These leave by a jump into the program's routine (a test looks at the built object): what they held is gone by then.
void* run_posix_thread(void* argument) {
  const ThreadRoutine start = begin_thread(static_cast<ThreadStart*>(argument));
  return reinterpret_cast<void* (*)(void*)>(start.routine)(start.argument);
}

int run_c11_thread(void* argument) {
  const ThreadRoutine start = begin_thread(static_cast<ThreadStart*>(argument));
  return reinterpret_cast<int (*)(void*)>(start.routine)(start.argument);
}

// Calls `wait`, and records that `thread` is gone if it says so by returning 0.
template <class Wait>
int release(pthread_t thread, ThreadRelease how, Wait wait) {
  if (!next_ready()) return EINVAL;
  const std::uint64_t began = time_before_release();
  const int result = wait();
  if (result == 0) record_release(thread, began, how);
  return result;
}

}  // namespace

LEAKWATCH_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*),
                                    void* argument) {
  if (!next_ready()) return EAGAIN;
  ThreadStart* start =
      prepare_thread(attributes, reinterpret_cast<void*>(routine), argument, __builtin_frame_address(0));
  if (start == nullptr) return next.pthread_create(thread, attributes, routine, argument);
  const int error = next.pthread_create(thread, attributes, run_posix_thread, start);
  if (error != 0) abandon_thread(start);
  return error;
}

LEAKWATCH_EXPORT int thrd_create(thrd_t* thread, thrd_start_t routine, void* argument) {
  if (!next_ready()) return thrd_error;
  ThreadStart* start = prepare_thread(nullptr, reinterpret_cast<void*>(routine), argument, __builtin_frame_address(0));
  if (start == nullptr) return next.thrd_create(thread, routine, argument);
  const int error = next.thrd_create(thread, run_c11_thread, start);
  if (error != thrd_success) abandon_thread(start);
  return error;
}

LEAKWATCH_EXPORT int pthread_join(pthread_t thread, void** result) {
  return release(thread, ThreadRelease::kJoined, [=] { return next.pthread_join(thread, result); });
}

LEAKWATCH_EXPORT int pthread_tryjoin_np(pthread_t thread, void** result) {
  return release(thread, ThreadRelease::kJoined, [=] { return next.pthread_tryjoin_np(thread, result); });
}

LEAKWATCH_EXPORT int pthread_timedjoin_np(pthread_t thread, void** result, const timespec* until) {
  return release(thread, ThreadRelease::kJoined, [=] { return next.pthread_timedjoin_np(thread, result, until); });
}

LEAKWATCH_EXPORT int pthread_clockjoin_np(pthread_t thread, void** result, clockid_t clock, const timespec* until) {
  return release(thread, ThreadRelease::kJoined,
                 [=] { return next.pthread_clockjoin_np(thread, result, clock, until); });
}

LEAKWATCH_EXPORT int thrd_join(thrd_t thread, int* result) {
  static_assert(thrd_success == 0);
  return release(thread, ThreadRelease::kJoined, [=] { return next.thrd_join(thread, result); });
}

LEAKWATCH_EXPORT int pthread_detach(pthread_t thread) {
  return release(thread, ThreadRelease::kDetached, [=] { return next.pthread_detach(thread); });
}

LEAKWATCH_EXPORT int thrd_detach(thrd_t thread) {
  return release(thread, ThreadRelease::kDetached, [=] { return next.thrd_detach(thread); });
}

LEAKWATCH_THREAD_HOOKS(LEAKWATCH_OWN_NAME)
