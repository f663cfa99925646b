// SPDX-License-Identifier: Apache-2.0
//
// What one thread of the target knows. Plain initial-exec TLS, zero at first, without a destructor: it is there from
// the first instruction of a thread to the last, costs one segment-relative access, and can never call malloc to come
// into being. Kept small so that it fits the static TLS surplus when the object is loaded into a process that already
// runs.
#pragma once

#include <atomic>
#include <cstdint>

#include "proto/shared_memory.h"

namespace leakwatch::preload {

struct ThreadState {
  // While we ourselves call something that may allocate, nothing is recorded or counted. kReached: it did allocate.
  enum class OwnCall : std::uint8_t { kNone, kMade, kReached };

  // Far beyond what a thread can allocate: unwatched for good, and put aside for a moment (PassedOn in recorder.h).
  static constexpr std::uint64_t kNever = std::uint64_t{1} << 60;
  static constexpr std::uint64_t kPutAside = std::uint64_t{1} << 61;
  static constexpr std::uint64_t kNothingMapped = ~std::uint64_t{0};

  std::uint64_t bytes_until_sample;  // an allocation that would bring it to zero or below takes the slow path
  std::uint64_t random;
  shared::Ring* ring;         // null until the thread has one in `session`
  std::uint64_t quiet_until;  // up to this position of the ring there is room and no reader to be woken
  std::uint64_t token;        // of a thread that we saw being created (thread_recorder.h), else 0
  const void* passed_on;      // the block that the next function is releasing on our behalf: see recorder.h
  std::uint64_t mapped_from;  // the thread's stack is mapped from here to its end: mapped_stack.h
  std::uint32_t session;      // the session that the fields above belong to, 0 for none
  bool busy;                  // inside a hook: a nested call (a signal handler, dlsym) is passed through
  OwnCall own_call;
  std::uint8_t foreign_stacks;  // how often a stack pointer was not on the thread's own stack: mapped_stack.h
  std::uint8_t drawn_with;      // the interval of bytes_until_sample: countdown.h
};
static_assert(sizeof(ThreadState) <= 64);

extern __thread ThreadState thread_state __attribute__((tls_model("initial-exec"), visibility("hidden")));

// Marks the thread as inside a hook for a scope. Around the hold of a session whose shared memory is looked at: a fork
// in a signal handler has to see it for the child's sake (session_start.cc).
class BusyScope {
 public:
  explicit BusyScope(ThreadState& state) : state_(state), was_busy_(state.busy) {
    state_.busy = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~BusyScope() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    state_.busy = was_busy_;
  }
  BusyScope(const BusyScope&) = delete;
  BusyScope& operator=(const BusyScope&) = delete;

  bool is_nested() const { return was_busy_; }

 private:
  ThreadState& state_;
  const bool was_busy_;
};

}  // namespace leakwatch::preload
