// SPDX-License-Identifier: Apache-2.0
//
// Chooses the sampling interval so that what recording costs stays under a share of the processor time that the program
// itself uses. Pure: readings of two growing sums in, steps of the interval out (shared::interval_of_step).
//
// The cost is taken to be inversely proportional to the interval. It is compared over a window, which begins anew with
// every change of the interval. Over the limit, the interval grows at once, and by as much as is missing. Under it, it
// shrinks in small steps, each only when the cost that is then to be expected is well under the limit. A steady program
// therefore settles where the cost lies between a half and the whole of the limit, and the interval does not move any
// more. What says nothing (an idle program, a sum that fell) moves nothing.
//
// The interval never gets so small that more blocks live as samples than the program's filter in front of free can tell
// from the others: that cost would not go away when the interval grew again.
#pragma once

#include <cstdint>

#include "proto/shared_memory.h"

namespace leakwatch {

class IntervalController {
 public:
  // `limit`: a share, 0.01 for one per cent. `first_interval` in bytes: that of step 0.
  IntervalController(double limit, std::uint64_t first_interval);

  struct Reading {
    std::uint64_t now_ns = 0;        // of any clock
    std::uint64_t processor_ns = 0;  // that the program has used, recording included
    std::uint64_t cost_ns = 0;       // that recording has taken
    std::uint64_t live_samples = 0;
  };
  // To be called some times a second. The step from now on.
  std::uint32_t next_step(const Reading& reading);

 private:
  int steps_up(double cost_ns, double allowed_ns) const;
  int steps_down(double cost_ns, double allowed_ns, std::uint64_t live_samples) const;
  void move_to(int step, const Reading& reading);

  const double limit_;
  int step_;  // the nearest one, while step 0 is in use
  std::uint32_t published_ = 0;
  bool has_window_ = false;
  Reading window_;             // its beginning
  std::uint64_t patience_ns_;  // so long the window must be before the interval shrinks
};

}  // namespace leakwatch
