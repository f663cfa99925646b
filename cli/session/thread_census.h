// SPDX-License-Identifier: Apache-2.0
//
// Joins what the ledger knows of threads (who made them, who never joined them) with what was observed from outside
// (where they are now) into one snapshot. Pure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "cli/session/thread_inspector.h"
#include "cli/state/thread_ledger.h"
#include "cli/state/thread_snapshot.h"

namespace leakwatch {

// A record of the ledger, with what was looked up for it.
struct KnownThread {
  ThreadRecord record;
  CodeAddress start_routine = {};
  std::int64_t age_ns = 0;
  std::int64_t stack_resident_bytes = 0;
};

struct CensusInput {
  pid_t pid = 0;  // its main thread has the same number
  std::vector<KnownThread> known;
  std::map<std::uint32_t, ThreadCounters> creators;
  std::vector<Module> modules;                         // for trace_of; [0] is the main executable
  std::function<SharedStack(std::uint32_t)> trace_of;  // of a creating stack
  ThreadObservation observation = {};                  // empty when the process is gone
  // Observed threads that the ledger did not know at an earlier look either: none that has yet to tell its number.
  std::set<pid_t> strangers = {};
  std::map<pid_t, ThreadFacts> unseen = {};  // of threads whose creation was not seen
};

// time_ns and command are the caller's to fill in.
ThreadSnapshot take_census(CensusInput input);

}  // namespace leakwatch
