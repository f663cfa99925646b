// SPDX-License-Identifier: Apache-2.0
//
// How long the reader may rest between two passes. A pass over a few events costs both sides more than the events: the
// reader a wake-up, on a processor that the program may want, and a thread of the program the cache lines that it is
// about to write to. So passes are as rare as the rings allow: the fullest one is to hold an eighth of what it can, far
// from the half at which a writer wakes the reader (ring_writer.cc).
#pragma once

#include <algorithm>
#include <cstdint>

namespace leakwatch {

class DrainPace {
 public:
  static constexpr std::uint64_t kShortestNs = 50'000;     // less is not worth the system call
  static constexpr std::uint64_t kLongestNs = 20'000'000;  // what is rare is still to be seen soon
  static constexpr std::uint64_t kWantedPart = 8;
  static constexpr std::uint64_t kMostGrowth = 4;  // what begins slowly may go on fast

  // After a pass that found `words` of `ring_words` in the fullest ring.
  std::uint64_t rest_ns(std::uint64_t words, std::uint64_t ring_words) {
    const std::uint64_t wanted = ring_words / kWantedPart;
    const std::uint64_t rest = rest_ * wanted / std::max(words, wanted / kMostGrowth);
    return rest_ = std::clamp(rest, kShortestNs, kLongestNs);
  }

 private:
  std::uint64_t rest_ = kShortestNs;
};

}  // namespace leakwatch
