// SPDX-License-Identifier: Apache-2.0
//
// A hook's slow path from its first line to its last: the thread is marked as inside a hook, and it has joined the
// session, which is started if that is still to be done.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "preload/session.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

// errno is the program's: a hook must leave it as the next function set it. Around whatever calls into libc; what runs
// for each event makes no such call.
class ErrnoScope {
 public:
  ErrnoScope() : saved_(errno) {}
  ~ErrnoScope() { errno = saved_; }
  ErrnoScope(const ErrnoScope&) = delete;
  ErrnoScope& operator=(const ErrnoScope&) = delete;

 private:
  int saved_;
};

class WatchedCall {
 public:
  // `from` is where the program called.
  explicit WatchedCall(std::uint64_t from) : entered_(!thread_.busy), session_(entered_ ? enter(thread_) : nullptr) {
    if (!entered_) [[unlikely]]
      return;
    if (!session_ || thread_.session != session_->id) [[unlikely]] {
      const std::uint32_t gate = start_watching(from);
      session_.look_again();
      has_just_joined_ = settle(session_.get(), thread_, gate);
    }
  }
  ~WatchedCall() {  // before the session is let go
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (entered_) thread_.busy = false;
  }
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;

  // False in a nested call, and where there is no session.
  bool is_watched() const { return static_cast<bool>(session_); }
  bool is_nested() const { return !entered_; }
  // The thread joined the session in this very call: its count-down to the next sample begins here.
  bool has_just_joined() const { return has_just_joined_; }
  Session& session() const { return *session_; }
  ThreadState& thread() const { return thread_; }

 private:
  ThreadState& thread_ = thread_state;
  const bool entered_;
  SessionHold session_;
  bool has_just_joined_ = false;

  // Marked before the session is found: as in BusyScope.
  static SessionPage* enter(ThreadState& thread) {
    thread.busy = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return session_page.load(std::memory_order_acquire);
  }

  // Static, as everything here is to stay in registers. The first starts the session if that is still to be done, and
  // returns where the gate of the hooks stands. The second is told the session that is there then, or null; true when
  // the thread has joined it.
  static std::uint32_t start_watching(std::uint64_t from);
  static bool settle(Session* session, ThreadState& thread, std::uint32_t gate);
};

// The thread's first event in this session: claims a ring, draws the distance to the first sample.
void join_session(Session& session, ThreadState& thread);

// The id of the stack that leads to the hook whose frame this is. The thread has a ring.
std::uint64_t take_stack(Session& session, ThreadState& thread, const void* hook_frame);

}  // namespace leakwatch::preload
