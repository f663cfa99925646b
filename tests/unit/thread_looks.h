// SPDX-License-Identifier: Apache-2.0
//
// What tests ask of a look at the threads of a program: which functions are on a stack, which thread is where.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cli/process/thread_files.h"
#include "cli/session/thread_inspector.h"
#include "symbolize/symbolizer.h"
#include "tests/unit/catch.h"

namespace leakwatch {

using Names = std::vector<std::string>;

inline Names names_of(const ObservedThread& thread, const ThreadObservation& observation) {
  static Symbolizer symbolizer;
  Names names;
  for (const CodeAddress& frame : thread.stack) {
    if (frame.module >= observation.modules.size()) {
      names.emplace_back("?");
      continue;
    }
    const Module& module = observation.modules[frame.module];
    for (const Frame& found : symbolizer.resolve(module, frame.address - module.bias)) names.push_back(found.function);
  }
  return names;
}

inline bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The one thread with the function on its stack.
inline const ObservedThread& thread_in(const ThreadObservation& observation, const char* function) {
  for (const ObservedThread& thread : observation.threads) {
    if (contains(names_of(thread, observation), function)) return thread;
  }
  FAIL("no thread is in " << function);
  return observation.threads.front();
}

inline const ObservedThread& thread_with(const ThreadObservation& observation, pid_t tid) {
  for (const ObservedThread& thread : observation.threads) {
    if (thread.tid == tid) return thread;
  }
  FAIL("there is no thread " << tid);
  return observation.threads.front();
}

inline std::string kernel_state(pid_t pid, pid_t tid) {
  return std::string(1, ThreadFiles(pid, tid).state());
}

inline bool are_asleep(pid_t pid) {
  const std::vector<pid_t> threads = list_threads(pid);
  return std::all_of(threads.begin(), threads.end(), [&](pid_t tid) { return kernel_state(pid, tid) == "S"; });
}

inline void check_sleeper(const ThreadObservation& observation, const char* function, const std::string& state) {
  INFO(function);
  const ObservedThread& thread = thread_in(observation, function);
  CHECK(thread.state == state);
  CHECK(thread.stack_note.empty());
  CHECK_FALSE(thread.was_stopped);
}

}  // namespace leakwatch
