// SPDX-License-Identifier: Apache-2.0
//
// For tests of the heap's state: events whose time does not matter.
#pragma once

#include <cstdint>

#include "cli/state/event.h"

namespace leakwatch {

inline Event allocation(std::uint64_t address, std::uint64_t size, std::uint32_t stack = 1) {
  return {address, 0, size, stack, shared::EventKind::kAllocate};
}
inline Event release(std::uint64_t address, shared::EventKind kind = shared::EventKind::kFree) {
  return {address, 0, 0, 0, kind};
}

}  // namespace leakwatch
