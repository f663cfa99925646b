// SPDX-License-Identifier: Apache-2.0
//
// Where the threads of a process are now, read from outside: what each one waits in, since when, and its stack. No code
// runs in the process and no signal is sent.
//
// A thread that sleeps is not stopped. The kernel tells its pc and stack pointer, its stack is copied while it sleeps,
// and a count of its runs that is the same before and after proves that the copy is of one moment. Stopped, and only
// for the copying, are threads that run, and sleeping ones whose stack cannot be followed without registers; what was
// learnt about the latter serves until they wait elsewhere.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/process/thread_files.h"
#include "cli/state/snapshot.h"
#include "cli/trace/thread_stop.h"
#include "symbolize/process_unwinder.h"

namespace leakwatch {

struct ObservedThread {
  pid_t tid = 0;
  std::uint32_t own_tid = 0;    // its number in its own pid namespace
  std::string name;             // as the program named it
  std::string state;            // "futex wait", "epoll wait", "running", "page fault" …
  std::string waits_on;         // what kind of descriptor a read, write, accept … is about; empty when none
  std::string wait_channel;     // the kernel's function, empty when it does not tell
  std::int64_t waiting_ns = 0;  // for how long this very wait has been seen; 0 the first time and while running
  StackTrace stack;             // innermost first
  std::string stack_note;       // why the stack is missing or ends early; empty for a whole one
  bool was_stopped = false;
  bool was_stopped_asleep = false;  // it slept, and registers were needed
  std::int64_t stopped_ns = 0;      // at most so long
};

struct ThreadObservation {
  std::vector<ObservedThread> threads;  // by rising tid
  std::vector<Module> modules;          // for the stacks; [0] is the main executable
  std::string refusal;                  // why stacks are missing that a permission would show; empty when none
  std::int64_t duration_ns = 0;
};

// Not thread-safe; the caller may be any thread. The caller's process gets SIGCHLD when a thread stops, unless it
// ignores that or set SA_NOCLDSTOP.
class ThreadInspector {
 public:
  explicit ThreadInspector(pid_t pid, std::string root = {});

  ThreadObservation look();

 private:
  using Clock = std::chrono::steady_clock;

  // What is remembered of a thread's wait from one look to the next.
  struct Wait {
    ThreadPlace place;
    RunCount count;
    Clock::time_point since;
    Clock::time_point seen;
    std::optional<std::uint64_t> sleeps_when_resumed;  // ThreadFiles::sleeps() once it goes on after our stop
    // From a stop, with the part of the stack that the walk went by.
    MachineRegisters registers;
    StackCopy stack;
    std::uint64_t reach = 0;
  };
  enum class Outcome : std::uint8_t { kDone, kGone, kRuns, kNeedsRegisters };

  // One that could not be read as it sleeps. The counts are of the moment before it was stopped.
  struct Unread {
    std::size_t index = 0;  // in the observation
    Outcome outcome = Outcome::kRuns;
    std::optional<std::uint64_t> sleeps;
    std::optional<RunCount> count;
  };

  Outcome observe(ObservedThread& thread);
  Outcome observe_awake(ObservedThread& thread, const ThreadFiles& files, const ThreadPlace& place);
  bool copy_asleep(pid_t tid, const ThreadFiles& files, const ThreadPlace& place, RunCount count,
                   UnwoundStack& unwound);
  UnwoundStack unwind_asleep(pid_t tid, const ThreadPlace& place, const StackCopy& copy);
  void describe(ObservedThread& thread, const ThreadFiles& files, const ThreadPlace& place) const;
  void refuse(ObservedThread& thread);
  void note_wait(ObservedThread& thread, const ThreadFiles& files, const ThreadPlace& place, RunCount count);
  static bool is_same_wait(const Wait& wait, const ThreadFiles& files, const ThreadPlace& place, RunCount count);
  std::set<pid_t> read_by_stopping(ThreadObservation& observation, const std::vector<Unread>& unread);
  ThreadStopRequest request_for(const ObservedThread& thread, Unread& unread) const;
  bool take_over(const ThreadStopResult& stop, const Unread& unread, ObservedThread& thread);
  void remember_registers(pid_t tid, const ThreadStopResult& stop, const UnwoundStack& unwound);
  void keep_stack(ObservedThread& thread, const UnwoundStack& unwound) const;

  pid_t pid_;
  ProcessUnwinder unwinder_;
  std::map<pid_t, Wait> waits_;
  Clock::time_point began_;
  bool was_refused_ = false;
  pid_t refused_thread_ = 0;
};

}  // namespace leakwatch
