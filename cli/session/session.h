// SPDX-License-Identifier: Apache-2.0
//
// One watched process from the moment it has the shared memory: draining, modules, stacks; and the snapshots of it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/drain/drain.h"
#include "cli/drain/module_map.h"
#include "cli/drain/session_clock.h"
#include "cli/drain/shared_region.h"
#include "cli/process/process.h"
#include "cli/process/stack_memory.h"
#include "cli/session/profile_source.h"
#include "cli/session/thread_census.h"
#include "cli/session/thread_inspector.h"
#include "cli/state/snapshot.h"
#include "cli/state/thread_snapshot.h"
#include "symbolize/symbol_service.h"

namespace leakwatch {

// Thread-safe, but for finish(), after which it still answers.
class Session {
 public:
  // `notes`: whole sentences for the profiles, about what cannot be seen.
  Session(std::unique_ptr<SharedRegion> region, ProcessFacts facts, std::vector<std::string> notes);

  HeapSnapshot snapshot();
  ThreadSnapshot thread_snapshot();
  LiveTotals totals();

  // Has a process that records much record nothing any more. It may take its time, and nothing tells when it is over.
  void end_recording();

  // The process has ended, or became another program, which another session watches: what it had published is all
  // there will be.
  enum class End { kProcess, kProgram };
  void finish(End end);

  // The process runs another program, or ran one at its end. Of the moment: a call of exec may still fail.
  bool has_been_replaced();

  // To be called every second or so: starts symbol lookups for new stacks, takes rings back from threads that vanished.
  void tend(SymbolService& symbols);

 private:
  bool is_gone();  // the program: the process has ended, or runs another one
  void learn_modules();
  const SharedStack& trace_of(std::uint32_t stack);
  // session_threads.cc
  Drain::Threads ledger(const std::vector<std::uint64_t>& ended_untold = {});
  ThreadObservation look();
  std::uint32_t own_tid(pid_t tid) const;
  Drain::Threads agree(ThreadObservation& observation);
  std::set<pid_t> drop_those_on_their_way_out(ThreadObservation& observation, const Drain::Threads& ledger) const;
  std::vector<std::uint64_t> ended_untold(const Drain::Threads& ledger, const ThreadObservation& observation);
  std::vector<KnownThread> measured(const std::vector<ThreadRecord>& records, StackMemory& stacks) const;
  std::map<pid_t, ThreadFacts> details_of_unseen(const CensusInput& input, StackMemory& stacks) const;
  CodeAddress start_routine(const ThreadRecord& record) const;

  Blindness blindness(const Drain::Counts& known, bool is_replaced) const;
  void prefetch_symbols(SymbolService& symbols, const std::vector<std::uint32_t>& stacks);
  void take_back_rings();

  const ProcessFacts facts_;
  const std::int64_t began_ns_;  // CLOCK_REALTIME
  const std::vector<std::string> notes_;
  std::unique_ptr<SharedRegion> region_;
  const TickMoment began_;
  std::atomic<bool> was_replaced_ = false;   // as far as anybody looked while the process lived
  std::atomic<bool> has_successor_ = false;  // a session of the program that the process runs now
  std::mutex looking_;                       // for what follows: a look takes long, and is taken before the lock below
  ThreadInspector inspector_;
  std::set<pid_t> strangers_;  // threads that were seen, and that the ledger did not get to know
  std::mutex mutex_;           // for all that follows
  ModuleMap modules_;
  std::uint64_t modules_position_ = 0;
  std::unordered_map<std::uint32_t, SharedStack> traces_;  // by offset in the stack area: stacks never change
  std::size_t prefetched_sites_ = 0;
  Drain drain_;  // last: its thread uses the region
};

}  // namespace leakwatch
