// SPDX-License-Identifier: Apache-2.0
//
// Tells a signal that was sent to leakwatch alone, and must be passed on to the program, from one that was sent to the
// whole process group (Ctrl-C, timeout(1), kill -- -PGID) and has reached the program already: passing that on would
// make it arrive twice.
//
// The kernel does not say. So a small process stands in the same group and reports the signals that reach it as well.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>

#include "cli/base/descriptor.h"

namespace leakwatch {

class GroupSignals {
 public:
  // Forks the witness; to be called before any thread is made. Without one every signal counts as sent to us alone.
  GroupSignals();
  ~GroupSignals();
  GroupSignals(const GroupSignals&) = delete;
  GroupSignals& operator=(const GroupSignals&) = delete;

  // Whether the signal that has just reached us reached the group. Waits for a few milliseconds at most.
  bool reached_group(int signal);

  // From time to time: takes leave of a witness that somebody has killed.
  void tend();
  pid_t witness() const { return witness_; }  // a child of ours, or -1

 private:
  void read_reports(std::chrono::milliseconds patience);

  using Clock = std::chrono::steady_clock;
  pid_t witness_ = -1;
  Descriptor reports_;
  std::array<Clock::time_point, 65> seen_{};  // by signal; the epoch for never
};

}  // namespace leakwatch
