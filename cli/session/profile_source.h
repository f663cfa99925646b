// SPDX-License-Identifier: Apache-2.0
//
// What a sink that is asked at any moment (HTTP) may ask of the watched program. Thread-safe: any thread may call, none
// waits for symbols or a disk here. Requests that come close together share one look at the program, so that a flood of
// them slows neither it nor the draining; what they get was always taken after they asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"
#include "cli/state/thread_snapshot.h"

namespace leakwatch {

// A snapshot with all that it takes to read it later.
template <typename Snapshot>
struct Moment {
  std::shared_ptr<const Snapshot> snapshot;  // null: the program has not called back yet
  SymbolLookup symbols;                      // keeps what it needs alive
  std::uint64_t program = 0;                 // rises when the process executes another program: its counts begin anew
};

// The sums alone: what is cheap enough to be asked every second.
struct LiveTotals {
  std::int64_t time_ns = 0;  // CLOCK_REALTIME; 0: the program has not called back yet
  std::uint64_t program = 0;
  HeapCounters heap;
  ThreadCounters threads;             // as the ledger has them: those whose creation was seen
  std::uint64_t kernel_threads = 0;   // as the kernel counts them, 0 when the process is gone
  std::uint64_t resident_bytes = 0;   // RSS, 0 when the process is gone
  std::uint64_t sample_interval = 1;  // at this moment
  RecordingCost cost;
  std::uint64_t events = 0;  // taken from the rings
  std::size_t sites = 0;
  Blindness blindness;
};

class ProfileSource {
 public:
  virtual ~ProfileSource() = default;

  virtual Moment<HeapSnapshot> heap() = 0;
  virtual Moment<ThreadSnapshot> threads() = 0;
  virtual LiveTotals totals() = 0;
  // The program's name and arguments, as it was started.
  virtual std::vector<std::string> command() const = 0;
};

}  // namespace leakwatch
