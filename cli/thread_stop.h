// SPDX-License-Identifier: Apache-2.0
//
// Stops one thread of another process for as long as it takes to read its registers and its stack, by ptrace. Used for
// threads that run, and for sleeping ones of which the stack cannot be followed without registers.
//
// What it owes the thread:
// - It is let go at once, and also when we are killed: the kernel detaches the threads of a tracer that ends.
// - No system call is seen to fail with EINTR. The kernel restarts most calls that a stop breaks by itself. epoll_wait,
//   sigtimedwait and their kin return EINTR instead; they are changed to ask for a restart as the others do, so that
//   the kernel still decides: a signal that has a handler ends them with EINTR, as it must, and nothing else does.
// - A signal that arrives meanwhile is delivered as if we had not been there, and a stopped process stays stopped.
//
// ptrace belongs to the thread that attached. A thread in an uninterruptible wait cannot be stopped, and cannot be let
// go by a request either: the end of the tracing thread does it. So this is used on a thread that ends soon after.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "symbolize/process_unwinder.h"

namespace leakwatch {

struct ThreadStopResult {
  enum class Kind : std::uint8_t { kRead, kGone, kRefused, kNeverStopped };
  Kind kind = Kind::kGone;
  MachineRegisters registers;
  StackCopy stack;
  std::int64_t stopped_ns = 0;  // at most so long; 0 when it was never stopped
  bool was_in_call = false;     // a system call was broken, and made again
};

class ThreadStopper {
 public:
  using Clock = std::chrono::steady_clock;

  // `unwinder` tells where stacks end.
  ThreadStopper(pid_t pid, const ProcessUnwinder& unwinder);

  // Reads one thread. Waits for it to stop for at most `patience`; where it is only waiting for a processor that harms
  // nobody.
  ThreadStopResult read(pid_t tid, Clock::duration patience);

 private:
  bool wait_for_stop(pid_t tid, Clock::duration patience, ThreadStopResult& result);
  bool read_stopped(pid_t tid, ThreadStopResult& result);

  pid_t pid_;
  const ProcessUnwinder& unwinder_;
  std::vector<char> buffer_;
  std::size_t copied_ = 0;
  std::uint64_t copied_from_ = 0;
  Clock::time_point last_seen_running_;
  int signal_ = 0;  // that the stop is about: to be delivered
};

}  // namespace leakwatch
