// SPDX-License-Identifier: Apache-2.0
//
// What was known of a program's threads at one moment: plain values, like snapshot.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/state/snapshot.h"
#include "cli/state/thread_ledger.h"
#include "symbolize/module.h"

namespace leakwatch {

// What a thread was made with and what that costs. Numbers that are not known are 0.
struct ThreadFacts {
  CodeAddress start_routine;              // as the creator named it; address 0 when that was not seen
  std::int64_t age_ns = 0;                // since it was made
  std::int64_t stack_bytes = 0;           // reserved for its stack, without the guard
  std::int64_t guard_bytes = 0;           // below its stack
  std::int64_t stack_resident_bytes = 0;  // of the reserved ones
};

struct LiveThread {
  std::uint32_t tid = 0;
  std::string name;               // as it calls itself now
  std::string state;              // "futex wait", "running"
  std::int64_t waiting_ns = 0;    // how long this very wait has been seen
  std::uint32_t stack = 0;        // where it is now: indexes ThreadSnapshot::stacks
  std::uint32_t creator = 0;      // that made it: indexes ThreadSnapshot::stacks
  bool is_placed = false;         // false: `stack` is only the creator's, as the thread could not be looked at
  std::string waits_on = {};      // what kind of descriptor it waits on, empty when none
  std::string wait_channel = {};  // the kernel's function that it waits in, empty when that is not told
  std::string stack_note = {};    // why the stack is missing or ends early
  ThreadFacts facts = {};
};

// It ended, and nobody has joined it: what it was made with is still held.
struct UnjoinedThread {
  std::uint32_t tid = 0;      // it had
  std::uint32_t creator = 0;  // that made it: indexes ThreadSnapshot::stacks
  ThreadFacts facts = {};
};

struct ThreadCreator {
  std::uint32_t stack = 0;  // indexes ThreadSnapshot::stacks
  ThreadCounters counters;
};

struct ThreadSnapshot {
  std::int64_t time_ns = 0;     // CLOCK_REALTIME
  std::vector<Module> modules;  // [0] is the main executable
  StackList stacks;
  std::vector<LiveThread> threads;
  std::vector<UnjoinedThread> unjoined;
  std::vector<ThreadCreator> creators;
  std::vector<std::string> notes;  // whole sentences: what could not be seen, and what would permit it
  std::string command;
};

// Sum over all creators.
ThreadCounters total(const ThreadSnapshot& snapshot);

// "worker-17" as "worker-*": names that only count are one group, and one series in a store.
std::string folded_name(const std::string& name);

}  // namespace leakwatch
