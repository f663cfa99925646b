// SPDX-License-Identifier: Apache-2.0
//
// While a thread stands still for us nothing must keep us from going on: on a busy machine the wait for a processor
// would be a hundred times the work. Where we may not ask for that, we have what everyone has.
#pragma once

#include <sched.h>

namespace leakwatch {

// For the calling thread, for as long as this lives.
class Urgency {
 public:
  Urgency() {
    policy_ = sched_getscheduler(0);
    if (policy_ < 0 || sched_getparam(0, &parameters_) != 0) return;
    sched_param urgent{};
    urgent.sched_priority = sched_get_priority_min(SCHED_FIFO);
    is_granted_ = policy_ == SCHED_OTHER && sched_setscheduler(0, SCHED_FIFO, &urgent) == 0;
  }
  ~Urgency() {
    if (is_granted_) sched_setscheduler(0, policy_, &parameters_);
  }
  Urgency(const Urgency&) = delete;
  Urgency& operator=(const Urgency&) = delete;

 private:
  int policy_ = -1;
  sched_param parameters_{};
  bool is_granted_ = false;
};

}  // namespace leakwatch
