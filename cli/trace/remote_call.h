// SPDX-License-Identifier: Apache-2.0
//
// Makes a thread of another process call a function there, without a debugger and without anything of ours in the
// process. The thread is stopped for a moment, by ptrace, at a place where it is neither in the allocator nor in the
// loader; it is set to make the call and to go on afterwards all by itself (machine.h), and let go. So a leakwatch that
// is killed at any instant leaves a program behind that is not stopped and is well.
//
// The program does not notice: registers, signal mask, alternate stack, errno and the bytes below the stack pointer are
// as they were, and a system call that the thread slept in is made again. Two things remain.
// - A sleep with a relative time-out begins anew, and lasts longer by what had passed of it. Threads of that kind are
//   the last choice, unless the time is short.
// - A signal that has a handler waits for the end of the call, and the handler runs before the system call is made
//   again; without us the call could have ended with EINTR. That is as if the signal had come just before the call, so
//   it changes nothing that a program can rely on; but it is a reason to choose threads whose calls the kernel
//   restarts.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/trace/call_safety.h"
#include "cli/trace/machine.h"
#include "cli/trace/stopped_thread.h"
#include "symbolize/process_unwinder.h"

namespace leakwatch {

struct RemoteCallResult {
  enum class State : std::uint8_t {
    kBegun,  // the thread was let go and makes the call; with call() also: it has not returned in time
    kReturned,
    kNoPlace,  // no thread came to a safe place in time
    kRefused,  // not permitted, or this process cannot be made to call
    kGone,     // the process
  };
  State state = State::kNoPlace;
  std::string reason;                // why it was not begun, for people
  pid_t tid = 0;                     // of the thread that calls
  std::int64_t stopped_ns = 0;       // for how long that was stopped, at most
  std::int64_t longest_stop_ns = 0;  // of any thread, in vain
  int attempts = 0;                  // threads that were stopped
};

// A number or pointer, or a text of which the function gets the address. That lives as long as the call.
using RemoteArgument = std::variant<std::uint64_t, std::string>;

// Not thread-safe. One call at a time.
class RemoteCall {
 public:
  using Clock = std::chrono::steady_clock;

  // `root` is put before a module's path to open it, "/proc/PID/root" for a process with a root of its own.
  explicit RemoteCall(pid_t pid, std::string root = {});

  // Addresses to call, of the modules as they are now; 0 when there is none. They are only called in the program that
  // they were found in: one that the process becomes later on is let be.
  std::uint64_t find_function(ModuleRole role, std::string_view name);

  // Up to six arguments, as integers and pointers are passed. Tries one thread after the other, and again, for at most
  // `patience`. Returns once a thread was let go into the call.
  RemoteCallResult begin(std::uint64_t function, const std::vector<RemoteArgument>& arguments,
                         Clock::duration patience = std::chrono::seconds(10));
  // Whether the thread has come back from the call that was begun last. Also when the process is gone.
  bool has_returned() const;
  // The same, when it has come back or at the deadline.
  bool wait_for_return(Clock::time_point deadline) const;

  // Both: waits for the return as well, in all for at most `patience`.
  RemoteCallResult call(std::uint64_t function, const std::vector<RemoteArgument>& arguments,
                        Clock::duration patience = std::chrono::seconds(10));

  // For tests: told of each step, from another thread.
  void set_observer(StoppedThread::Observer observer) { observer_ = std::move(observer); }

 private:
  enum class Rank : std::uint8_t { kSleeps, kSleepsRepaired, kSleepsBriefly, kRuns, kSleepsProlonged, kNever };
  struct Candidate {
    pid_t tid = 0;
    Rank rank = Rank::kNever;
    friend bool operator<(const Candidate& a, const Candidate& b) { return a.rank < b.rank; }
  };
  struct Request {
    std::uint64_t function = 0;
    const std::vector<RemoteArgument>& arguments;
    Clock::time_point deadline;
  };

  void try_rounds(const Request& request, int& round, RemoteCallResult& result);
  bool begin_in_round(const Request& request, int round, RemoteCallResult& result);
  std::vector<Candidate> candidates() const;
  static Rank rank_of(RestartEffect effect);
  Rank rank(pid_t tid) const;
  bool is_unsafe_asleep(pid_t tid, RemoteCallResult& result);
  bool begin_on(const Candidate& candidate, const Request& request, RemoteCallResult& result);
  bool begin_stopped(StoppedThread& thread, const Candidate& candidate, const Request& request,
                     RemoteCallResult& result);
  std::string_view objection(const StoppedThread& thread, const machine::ThreadContext& context, std::int64_t call);
  UnwoundStack unwind(const machine::Registers& registers, std::size_t max_depth);
  machine::CallImage image(const machine::ThreadContext& context, const machine::Resumption& resumption,
                           const Request& request);
  StackCopy copy_stack(std::uint64_t stack_pointer) const;
  std::int64_t call_taken_up(const machine::Registers& registers, const machine::CallCode& code);
  void refuse(RemoteCallResult& result, pid_t tid) const;

  pid_t pid_;
  CallSafety safety_;
  ProcessUnwinder unwinder_;
  StoppedThread::Observer observer_;
  std::string layout_;               // of memory, of the program that the last function was found in
  std::uint64_t marker_ = 0;         // where the call that was begun last notes its return
  bool has_thread_on_hook_ = false;  // one did not stop in time, and only the end of the tracing thread lets go of it
};

}  // namespace leakwatch
