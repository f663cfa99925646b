// SPDX-License-Identifier: Apache-2.0
//
// Values by address ranges that may nest and overlap.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace leakwatch {

// Filled first, then sorted, then asked.
template <typename Value>
class RangeMap {
 public:
  struct Range {
    std::uint64_t low = 0;
    std::uint64_t high = 0;   // one past the end
    std::uint64_t reach = 0;  // the greatest `high` up to here: no range before this one covers anything beyond it
    Value value;
  };

  void add(std::uint64_t low, std::uint64_t high, Value value) {
    if (low < high) ranges_.push_back({low, high, 0, std::move(value)});
  }

  void sort() {
    std::stable_sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
    std::uint64_t reach = 0;
    for (Range& range : ranges_) range.reach = reach = std::max(reach, range.high);
  }

  // The range that begins last of those that cover the address; of several with one beginning, the one added last.
  const Range* find(std::uint64_t address) const {
    auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                 [](std::uint64_t value, const Range& range) { return value < range.low; });
    while (next != ranges_.begin()) {
      --next;
      if (address < next->high) return &*next;
      if (next->reach <= address) return nullptr;
    }
    return nullptr;
  }

  bool empty() const { return ranges_.empty(); }

 private:
  std::vector<Range> ranges_;
};

}  // namespace leakwatch
