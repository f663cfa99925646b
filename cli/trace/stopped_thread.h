// SPDX-License-Identifier: Apache-2.0
//
// One thread of another process, stopped by ptrace for as long as this object lives, to read and to set all that it is.
//
// It is let go at the end, and also when we are killed: the kernel detaches the threads of a tracer that ends. A system
// call that the stop broke is made again by the kernel. Those that would come back with EINTR instead are repaired as
// soon as the stop is seen, so that only a tracer that is killed in the few instructions before that leaves one behind.
// A signal that arrives meanwhile is delivered as if we had not been there, and a stopped process stays stopped.
//
// ptrace belongs to the thread that began it. A thread in an uninterruptible wait cannot be stopped, and cannot be let
// go by a request either: the end of the tracing thread does it. So this is used on a thread that ends soon after.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "cli/process/seccomp_filter.h"
#include "cli/trace/machine.h"
#include "cli/trace/tracee.h"

namespace leakwatch {

// What has just been done. A tracer that dies after any of these leaves a healthy thread.
enum class CallStep : std::uint8_t {
  kSeized,
  kInterrupted,
  kStopped,
  kRead,
  kMemoryWritten,
  kRegistersSet,
  kSignalsBlocked,
  kFloatingSet,
  kLetGo,
};

class StoppedThread {
 public:
  using Clock = std::chrono::steady_clock;
  using Observer = std::function<void(CallStep)>;

  enum class State : std::uint8_t {
    kStopped,  // by us: the only state in which it can be read and set
    kGone,
    kRefused,         // by the kernel
    kNeverStopped,    // in time
    kUnderSignal,     // one is being delivered
    kProcessStopped,  // by SIGSTOP and the like
  };

  StoppedThread(pid_t tid, Clock::duration patience, Observer observer);
  ~StoppedThread() { let_go(); }
  StoppedThread(const StoppedThread&) = delete;
  StoppedThread& operator=(const StoppedThread&) = delete;

  State state() const { return state_; }

  // With the registers as read_registers_and_repair_call has them. Nothing when the thread is gone, as it may be at any
  // time.
  std::optional<machine::ThreadContext> read() const;
  // Where the thread has its restartable sequences (rseq(2)); 0 when nowhere.
  std::uint64_t restartable_sequences() const;
  // Its filters of system calls. Nothing when the kernel does not show them, as it does to CAP_SYS_ADMIN alone.
  std::optional<std::vector<SeccompFilter>> seccomp_filters() const;

  // Writes the image and lets the thread begin it. False when nothing was changed.
  bool begin(pid_t pid, const machine::CallImage& image);

  // How long it was stopped, at most; 0 when it never was.
  std::int64_t let_go();

 private:
  bool wait_for_stop(Clock::duration patience);
  void note_stop(const TraceeLook& look);
  void repair_broken_call(const machine::BeforeStop& before);
  void observe(CallStep step) const {
    if (observer_) observer_(step);
  }

  pid_t tid_;
  Observer observer_;
  State state_ = State::kGone;
  bool is_traced_ = false;
  machine::Registers registers_{};
  Clock::time_point last_seen_running_;
  std::int64_t stopped_ns_ = 0;
  int signal_ = 0;  // that the stop is about: to be delivered
};

}  // namespace leakwatch
