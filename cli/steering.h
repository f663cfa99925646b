// SPDX-License-Identifier: Apache-2.0
//
// Measures what recording costs and, where there is a limit to it, moves the sampling interval. Belongs to the thread
// that drains: it comes by often enough, and whatever it moves is the reader's to write.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "cli/interval_controller.h"
#include "cli/session_clock.h"
#include "cli/shared_region.h"
#include "cli/snapshot.h"

namespace leakwatch {

class Steering {
 public:
  // `region` must outlive it; not of an exact session. `pid`: the target as we number it.
  Steering(SharedRegion& region, pid_t pid);

  // To be called at any time; mostly returns at once. `reader_ns`: processor time that reading events has taken so far.
  void tend(std::uint64_t live_samples, std::uint64_t reader_ns);

  std::uint64_t interval() const { return interval_; }
  const RecordingCost& cost() const { return cost_; }

 private:
  void measure(std::uint64_t reader_ns);
  void take_up(std::uint32_t step);

  SharedRegion& region_;
  const pid_t pid_;
  const TickMoment began_;
  const std::uint64_t processor_ns_at_start_;
  std::uint64_t next_ns_;
  std::uint64_t ticks_ = 0;  // of the target's counters, when they were last read
  std::uint64_t interval_;
  std::uint32_t step_ = 0;
  RecordingCost cost_;
  std::optional<IntervalController> controller_;
};

}  // namespace leakwatch
