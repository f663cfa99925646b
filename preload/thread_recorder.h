// SPDX-License-Identifier: Apache-2.0
//
// What the hooks of the thread functions record: who creates a thread, that it runs, that it ended, that somebody
// joined or detached it. The new thread begins in a trampoline of ours that leaves by a jump: no frame of ours stays on
// its stack, so pthread_exit and cancellation have nothing of ours to unwind. Its end is told by the destructor of a
// thread-specific key, which runs for every way to end.
#pragma once

#include <cstdint>

#include <pthread.h>

#include "proto/shared_memory.h"

namespace leakwatch::preload {

// Travels from the creating thread to the new one.
struct ThreadStart {
  void* routine;
  void* argument;
  std::uint64_t token;
};

// Records the creation and makes what the trampoline needs. Null when the thread goes unwatched: then it is created as
// if we were not there.
ThreadStart* prepare_thread(const pthread_attr_t* attributes, void* routine, void* argument, const void* hook_frame);

// The creation failed.
void abandon_thread(ThreadStart* start);

// In the new thread, first of all. Takes `start` over. What it returns fits two registers, so that the trampoline keeps
// nothing in memory and can leave by a jump.
struct ThreadRoutine {
  void* routine;
  void* argument;
};
ThreadRoutine begin_thread(ThreadStart* start);

// When a call that may release a thread begins: 0 without a session.
std::uint64_t time_before_release();
void record_release(pthread_t thread, std::uint64_t began, shared::ThreadRelease how);

}  // namespace leakwatch::preload
