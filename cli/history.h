// SPDX-License-Identifier: Apache-2.0
//
// What was measured so far, for plots and for differences with the past: points every second that grow coarser with
// age, and heap snapshots of the start and of the last minutes. Bounded, however long the program runs. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cli/profile_source.h"

namespace leakwatch {

class History {
 public:
  // To be called every second or so; takes from `source` what is due.
  void tend(ProfileSource& source);
};

}  // namespace leakwatch
