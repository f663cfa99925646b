// SPDX-License-Identifier: Apache-2.0
//
// Every thread that the target made: who made it, and what became of it. Pure: events in, records out, as heap_state.h.
//
//   created ──▶ running ──▶ ended, unjoined ──▶ gone
//                   │                            ▲
//                   └──── ended, detached ───────┘
//
// A thread that ended without having been joined or detached keeps its stack and its thread-local storage: a leak that
// resident size hides. Threads that are gone are only counted, under the stack that created them, so that a service
// which makes a million short ones costs nothing here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cli/state/event.h"

namespace leakwatch {

struct ThreadRecord {
  std::uint64_t token = 0;   // the target's own number for it, never used twice
  std::uint32_t tid = 0;     // 0 until it has begun to run
  std::uint64_t handle = 0;  // pthread_t; used again by later threads
  std::uint32_t stack = 0;   // that created it: offset in the stack area
  std::uint64_t start_routine = 0;
  std::uint64_t stack_bytes = 0;  // reserved for its stack, without the guard
  std::uint64_t guard_bytes = 0;
  std::uint64_t created = 0;  // ticks of the session's clock
  bool detached = false;
  bool ended = false;
  friend bool operator==(const ThreadRecord&, const ThreadRecord&) = default;
};

// Threads by the stack that created them.
struct ThreadCounters {
  std::int64_t created = 0;
  std::int64_t running = 0;
  std::int64_t unjoined = 0;     // ended, and nobody has joined them
  std::int64_t stack_bytes = 0;  // that running and unjoined threads hold reserved

  ThreadCounters& operator+=(const ThreadCounters& other) {
    created += other.created;
    running += other.running;
    unjoined += other.unjoined;
    stack_bytes += other.stack_bytes;
    return *this;
  }
  friend bool operator==(const ThreadCounters&, const ThreadCounters&) = default;
};

class ThreadLedger {
 public:
  // Events of other kinds are none of its business. See shared_memory.h for what the fields of each kind hold.
  void apply(const Event& event);

  // The thread ended without telling, as one does that leaves by the bare system call. To be called when it is surely
  // gone; what it may have told before that counts.
  void end_untold(std::uint64_t token) { end(token); }

  // Threads that are still there, running or unjoined, in the order of their creation.
  std::vector<ThreadRecord> threads() const;
  // Per creating stack, in ascending order of the stack's offset.
  std::map<std::uint32_t, ThreadCounters> creators() const { return creators_; }
  ThreadCounters total() const;

  // Thread ids of those that are gone, the last kMostLatelyGone of them. A thread tells its end before the kernel drops
  // it from its list, and a joiner goes on before that as well: who reads that list may still find it.
  static constexpr std::size_t kMostLatelyGone = 4096;
  const std::deque<std::uint32_t>& lately_gone() const { return lately_gone_; }

 private:
  using Records = std::map<std::uint64_t, ThreadRecord>;  // by token

  void create(const Event& event);
  void describe(const Event& event);
  void start(const Event& event);
  void end(std::uint64_t token);
  void forget(std::uint64_t token);
  void release(const Event& event);
  void let_go(Records::iterator thread);
  Records::iterator owner_of(std::uint64_t handle, std::uint64_t before);

  Records records_;
  std::unordered_multimap<std::uint64_t, std::uint64_t> by_handle_;  // pthread_t -> token
  // Detached by their creator before they began to run, and so before their handle was known: when the call began.
  std::unordered_map<std::uint64_t, std::uint64_t> detached_early_;  // by handle
  std::map<std::uint32_t, ThreadCounters> creators_;
  std::deque<std::uint32_t> lately_gone_;
};

// Tokens of the records that run and of which the thread id is none of `tids`, or belongs to a younger record as well.
std::vector<std::uint64_t> running_unlisted(const std::vector<ThreadRecord>& records,
                                            const std::unordered_set<std::uint32_t>& tids);

}  // namespace leakwatch
