// SPDX-License-Identifier: Apache-2.0
//
// leakwatch starts with the limits that its user meant for the program. A small one on the stack serves programs with
// thousands of threads, and a small one on descriptors is the default of most systems; we are neither.
#pragma once

#include <sys/resource.h>

#include <optional>

namespace leakwatch {

// To be made before any thread: threads have stacks of 2 MiB at least from then on, and this process may open as many
// files as the hard limit permits. What cannot be raised stays as it is.
class OwnLimits {
 public:
  OwnLimits();

  // What the program gets; nothing where it was not changed.
  const std::optional<rlimit>& descriptors_before() const { return descriptors_before_; }

 private:
  std::optional<rlimit> descriptors_before_;
};

}  // namespace leakwatch
