// SPDX-License-Identifier: Apache-2.0
//
// The calling thread's claim to a processor, where it may raise it. Elsewhere it has what everyone has.
#pragma once

#include <sched.h>
#include <sys/resource.h>

namespace leakwatch {

// Before all others, for as long as this lives. For when a thread stands still for us: on a busy machine the wait for a
// processor would be a hundred times the work.
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

// A larger share, for as long as this lives. For work that is short and must be of about one moment: among hundreds of
// threads that compute, a fair share would stretch some milliseconds of it to seconds.
class Haste {
 public:
  Haste() : before_(getpriority(PRIO_PROCESS, 0)) {  // on Linux it is the calling thread's own
    if (before_ > kNiceness) setpriority(PRIO_PROCESS, 0, kNiceness);
  }
  ~Haste() { setpriority(PRIO_PROCESS, 0, before_); }
  Haste(const Haste&) = delete;
  Haste& operator=(const Haste&) = delete;

 private:
  static constexpr int kNiceness = -10;
  int before_;
};

}  // namespace leakwatch
