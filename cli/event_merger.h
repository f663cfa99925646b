// SPDX-License-Identifier: Apache-2.0
//
// Brings the events of all rings into the order of their time stamps.
//
// Why that is exact: an event is published before the next one of the same address is even stamped (shared_memory.h).
// So if the horizon T is read first and the rings after it, every predecessor of an event stamped at or before T is at
// hand. Events after T wait for the next pass.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "cli/event.h"

namespace leakwatch {

class EventMerger {
 public:
  // Where the events of one ring are appended, in the order of the ring.
  std::vector<Event>& ring(std::size_t index) {
    if (index >= rings_.size()) rings_.resize(index + 1);
    return rings_[index].events;
  }

  // The shared ring has many writers, who stamp before they queue up.
  void sort_ring(std::size_t index) {
    if (index >= rings_.size()) return;
    auto& events = rings_[index].events;
    std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
  }

  // Calls apply(ring index, event) for every event with time <= horizon, earliest first.
  template <class Apply>
  void merge_until(std::uint64_t horizon, Apply&& apply) {
    for (Ring& ring : rings_) bound(ring, horizon);
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
    for (std::size_t i = 0; i < rings_.size(); ++i) push_head(heads, i, horizon);
    while (!heads.empty()) {
      const std::size_t index = heads.top().second;
      heads.pop();
      Ring& ring = rings_[index];
      const std::uint64_t limit = heads.empty() ? horizon : std::min(horizon, heads.top().first);
      do apply(index, ring.events[ring.next++]);
      while (ring.next < ring.events.size() && ring.events[ring.next].time <= limit);
      push_head(heads, index, horizon);
    }
    for (Ring& ring : rings_) drop_applied(ring);
  }

  std::size_t waiting() const {
    std::size_t count = 0;
    for (const Ring& ring : rings_) count += ring.events.size();
    return count;
  }

 private:
  using Head = std::pair<std::uint64_t, std::size_t>;  // time, ring

  struct Ring {
    std::vector<Event> events;
    std::size_t next = 0;
  };

  template <class Heads>
  void push_head(Heads& heads, std::size_t index, std::uint64_t horizon) {
    const Ring& ring = rings_[index];
    if (ring.next < ring.events.size() && ring.events[ring.next].time <= horizon)
      heads.emplace(ring.events[ring.next].time, index);
  }

  // A ring that holds this many has an event from a future that no clock has seen: overwritten memory, which must not
  // make us wait, and grow, for ever.
  static constexpr std::size_t kMostWaiting = std::size_t{1} << 22;
  static void bound(Ring& ring, std::uint64_t horizon) {
    if (ring.events.size() <= kMostWaiting) return;
    for (Event& event : ring.events) event.time = std::min(event.time, horizon);
  }

  static void drop_applied(Ring& ring) {
    ring.events.erase(ring.events.begin(), ring.events.begin() + static_cast<std::ptrdiff_t>(ring.next));
    ring.next = 0;
  }

  std::vector<Ring> rings_;
};

}  // namespace leakwatch
