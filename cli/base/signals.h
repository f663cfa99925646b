// SPDX-License-Identifier: Apache-2.0
//
// The signals that leakwatch handles itself: blocked everywhere and read from a descriptor.
#pragma once

#include <signal.h>
#include <sys/signalfd.h>

#include <optional>

#include "cli/base/descriptor.h"

namespace leakwatch {

// To be made before any thread, which inherits the mask.
class Signals {
 public:
  Signals();  // throws Error

  const sigset_t& before() const { return before_; }  // the mask that leakwatch was started with
  int descriptor() const { return descriptor_.number(); }
  std::optional<signalfd_siginfo> next() const;

 private:
  sigset_t before_{};
  Descriptor descriptor_;
};

}  // namespace leakwatch
