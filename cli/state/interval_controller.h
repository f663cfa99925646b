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
// Frees that have to be looked up because other blocks are samples are a cost that does not go away when the interval
// grows: the samples live on. So it takes at most half of what is allowed, and is kept small beforehand: the interval
// is never smaller than what makes a few thousand samples of the live heap.
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
    std::uint64_t cost_ns = 0;       // that recording has taken, but for
    std::uint64_t lookup_ns = 0;     // frees that were looked up for nothing
    std::uint64_t live_bytes = 0;
  };
  // To be called some times a second. The step from now on.
  std::uint32_t next_step(const Reading& reading);

 private:
  int steps_up(double cost_ns, double allowed_ns, int floor) const;
  int steps_down(double cost_ns, double allowed_ns, int floor) const;
  void move_to(int step, const Reading& reading);

  const double limit_;
  int step_;  // the nearest one, while step 0 is in use
  std::uint32_t published_ = 0;
  bool has_window_ = false;
  Reading window_;             // its beginning
  std::uint64_t patience_ns_;  // so long the window must be before the interval shrinks
};

}  // namespace leakwatch
