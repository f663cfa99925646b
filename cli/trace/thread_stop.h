// SPDX-License-Identifier: Apache-2.0
//
// Stops threads of another process, each for as long as it takes to read its registers and its stack, by ptrace. Used
// for threads that run, and for sleeping ones of which the stack cannot be followed without registers.
//
// What it owes the threads:
// - Each is let go at once, and also when we are killed: the kernel detaches the threads of a tracer that ends.
// - No system call is seen to fail with EINTR. The kernel restarts most calls that a stop breaks by itself. epoll_wait,
//   sigtimedwait and their kin return EINTR instead; they are changed to ask for a restart as the others do, so that
//   the kernel still decides: a signal that has a handler ends them with EINTR, as it must, and nothing else does. On
//   ARM it decides less of it (tracee.h).
// - A signal that arrives meanwhile is delivered as if we had not been there, and a stopped process stays stopped.
//
// A thread stops when it gets a processor. Where more of them run than there are processors that is a round of the
// scheduler away, so several are asked at a time and each is read when it stops: a crowd takes about one round, and not
// one for each. How many is a bargain, as a thread that stops while another one is read stands for that long too. So
// there are few, which may all stop at once without harm, and one more whenever nothing has happened for a while. Each
// that was let go runs for its slice before the processor comes to the next, which keeps the stops apart.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "symbolize/process_unwinder.h"

namespace leakwatch {

struct ThreadStopRequest {
  pid_t tid = 0;
  std::chrono::steady_clock::duration patience{};  // where it is only waiting for a processor that harms nobody
};

struct ThreadStopResult {
  enum class Kind : std::uint8_t { kRead, kGone, kRefused, kNeverStopped, kNotAsked };
  Kind kind = Kind::kNotAsked;
  MachineRegisters registers;
  StackCopy stack;
  std::int64_t stopped_ns = 0;  // at most so long; 0 when it was never stopped
};

// The results are in the order of the requests. What is not read by `until` is given up. `unwinder` tells where stacks
// end. Nothing is done here that takes time while a thread may stand: what was read is to be looked at afterwards.
//
// Traces from a thread of its own, as ptrace belongs to the thread that attached, and a thread that does not stop
// cannot be let go by a request: the end of the tracing thread does it.
std::vector<ThreadStopResult> read_stopped(pid_t pid, const ProcessUnwinder& unwinder,
                                           const std::vector<ThreadStopRequest>& requests,
                                           std::chrono::steady_clock::time_point until);

}  // namespace leakwatch
