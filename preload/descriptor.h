// SPDX-License-Identifier: Apache-2.0
//
// A file descriptor that is open for a scope: none of ours stays open in the target.
#pragma once

#include "preload/system.h"

namespace leakwatch::preload {

class Descriptor {
 public:
  explicit Descriptor(long number) : number_(number) {}  // what the kernel answered
  ~Descriptor() {
    if (number_ >= 0) system_call(SYS_close, number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  long number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  long number_;
};

}  // namespace leakwatch::preload
