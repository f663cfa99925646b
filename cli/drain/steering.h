// SPDX-License-Identifier: Apache-2.0
//
// Measures what recording costs and, where there is a limit to it, moves the sampling interval. Belongs to the thread
// that drains: it comes by often enough, and whatever it moves is the reader's to write.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "cli/drain/session_clock.h"
#include "cli/drain/shared_region.h"
#include "cli/state/heap_state.h"
#include "cli/state/interval_controller.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

class Steering {
 public:
  // `region` must outlive it; not of an exact session. `pid`: the target as we number it.
  Steering(SharedRegion& region, pid_t pid);

  // To be called at any time; mostly returns at once. `reader_ns`: processor time that reading events has taken so far.
  void tend(const HeapState& heap, std::uint64_t reader_ns);

  std::uint64_t interval() const { return interval_; }
  const RecordingCost& cost() const { return cost_; }

 private:
  // One of the target's counters, as it was when last read.
  struct Counter {
    std::atomic<std::uint64_t> shared::Ring::*field;
    std::uint64_t ticks = 0;
  };
  std::uint64_t more_ns(Counter& counter) const;
  void measure(std::uint64_t reader_ns);
  void take_up(std::uint32_t step);

  SharedRegion& region_;
  const pid_t pid_;
  const TickMoment began_;
  const std::uint64_t processor_ns_at_start_;
  std::uint64_t next_ns_;
  Counter calls_{&shared::Ring::cost_ticks}, lookups_{&shared::Ring::lookup_ticks};
  std::uint64_t lookup_ns_ = 0;   // part of what cost_ has as the target's
  std::uint64_t looked_at_ = 0;   // when the heap was last looked at
  std::uint64_t live_bytes_ = 0;  // as of then
  std::uint64_t interval_;
  std::uint32_t step_ = 0;
  RecordingCost cost_;
  std::optional<IntervalController> controller_;
};

}  // namespace leakwatch
