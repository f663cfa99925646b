// SPDX-License-Identifier: Apache-2.0
//
// What one thread of the target knows. Plain initial-exec TLS, zero at first, without a destructor: it is there from
// the first instruction of a thread to the last, costs one segment-relative access, and can never call malloc to come
// into being. Kept small so that it fits the static TLS surplus when the object is loaded into a process that already
// runs.
#pragma once

#include <cstdint>

#include "proto/shared_memory.h"

namespace leakwatch::preload {

struct ThreadState {
  // The trial of operators.cc: does the next operator new call malloc?
  enum class Probe : std::uint8_t { kOff, kWaiting, kReached };

  std::int64_t bytes_until_sample;  // counts down; at or below zero the slow path looks closer
  std::uint64_t random;
  shared::Ring* ring;        // null until the thread has one in `session`
  std::uint64_t* scratch;    // room for one stack while it is taken
  std::uint64_t room_until;  // the ring has room up to this position; saves reading the reader's cache line
  std::uint32_t session;     // the session that the fields above belong to, 0 for none
  std::uint32_t ring_index;
  bool busy;  // inside a hook: a nested call (a signal handler, dlsym) is passed through
  Probe probe;
};
static_assert(sizeof(ThreadState) <= 64);

extern __thread ThreadState thread_state __attribute__((tls_model("initial-exec"), visibility("hidden")));

// Marks the thread as inside a hook for a scope.
class BusyScope {
 public:
  explicit BusyScope(ThreadState& state) : state_(state) { state_.busy = true; }
  ~BusyScope() { state_.busy = false; }
  BusyScope(const BusyScope&) = delete;
  BusyScope& operator=(const BusyScope&) = delete;

 private:
  ThreadState& state_;
};

}  // namespace leakwatch::preload
