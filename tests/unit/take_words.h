// SPDX-License-Identifier: Apache-2.0
//
// For tests: all that a ring holds, and its room is given back.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/drain/shared_region.h"

namespace leakwatch {

// False when the ring's positions make no sense.
inline bool take_words(SharedRegion& region, std::uint32_t ring, std::vector<std::uint64_t>& words) {
  const SharedRegion::Look look = region.look_at_words(ring, region.ring_words(), words);
  region.give_back(ring, words.size());
  return look != SharedRegion::Look::kNonsense;
}

}  // namespace leakwatch
