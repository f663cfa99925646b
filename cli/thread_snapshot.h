// SPDX-License-Identifier: Apache-2.0
//
// What was known of a program's threads at one moment: plain values, like snapshot.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/snapshot.h"
#include "cli/thread_ledger.h"
#include "symbolize/module.h"

namespace leakwatch {

struct LiveThread {
  std::uint32_t tid = 0;
  std::string name;
  std::string state;            // "futex wait", "running"
  std::int64_t waiting_ns = 0;  // how long this very wait has been seen
  std::uint32_t stack = 0;      // where it is now: indexes ThreadSnapshot::stacks
  std::uint32_t creator = 0;    // that made it: indexes ThreadSnapshot::stacks
  bool is_placed = false;       // false: `stack` is only the creator's, as the thread could not be looked at
};

struct ThreadCreator {
  std::uint32_t stack = 0;  // indexes ThreadSnapshot::stacks
  ThreadCounters counters;
};

struct ThreadSnapshot {
  std::int64_t time_ns = 0;     // CLOCK_REALTIME
  std::vector<Module> modules;  // [0] is the main executable
  std::vector<StackTrace> stacks;
  std::vector<LiveThread> threads;
  std::vector<ThreadCreator> creators;
  std::vector<std::string> notes;  // whole sentences: what could not be seen, and what would permit it
  std::string command;
};

// Sum over all creators.
ThreadCounters total(const ThreadSnapshot& snapshot);

// "worker-17" as "worker-*": names that only count are one group, and one series in a store.
std::string folded_name(const std::string& name);

}  // namespace leakwatch
