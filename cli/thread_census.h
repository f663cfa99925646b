// SPDX-License-Identifier: Apache-2.0
//
// Joins what the ledger knows of threads (who made them, who never joined them) with what was observed from outside
// (where they are now) into one snapshot. Pure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "cli/thread_inspector.h"
#include "cli/thread_ledger.h"
#include "cli/thread_snapshot.h"

namespace leakwatch {

struct CensusInput {
  pid_t pid = 0;  // its main thread has the same number
  std::vector<ThreadRecord> records;
  std::map<std::uint32_t, ThreadCounters> creators;
  std::vector<Module> modules;                               // for trace_of; [0] is the main executable
  std::function<const StackTrace&(std::uint32_t)> trace_of;  // of a creating stack
  ThreadObservation observation = {};                        // empty when the process is gone
  // The number that a thread has for itself, which differs from ours in another pid namespace.
  std::function<std::uint32_t(pid_t)> own_number = [](pid_t tid) { return static_cast<std::uint32_t>(tid); };
};

// time_ns and command are the caller's to fill in.
ThreadSnapshot take_census(CensusInput input);

}  // namespace leakwatch
