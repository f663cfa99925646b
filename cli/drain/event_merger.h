// SPDX-License-Identifier: Apache-2.0
//
// Brings the events of all rings into the order of their time stamps.
//
// Why that is exact: an event is published before the next one of the same address is even stamped (shared_memory.h).
// So if the horizon T is read first and the rings after it, every predecessor of an event stamped at or before T is at
// hand. Events after T wait for the next pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "cli/drain/tournament.h"
#include "cli/state/event.h"

namespace leakwatch {

class EventMerger {
 public:
  // Where the events of one ring are appended, in the order of the ring.
  std::vector<Event>& ring(std::size_t index) {
    if (index >= rings_.size()) rings_.resize(index + 1);
    return rings_[index];
  }

  // The shared ring has many writers, who stamp before they queue up.
  void sort_ring(std::size_t index) {
    if (index >= rings_.size()) return;
    std::vector<Event>& events = rings_[index];
    std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
  }

  // Calls apply(ring index, event) for every event with time <= horizon, earliest first.
  template <class Apply>
  void merge_until(std::uint64_t horizon, Apply&& apply) {
    begin(horizon);
    Tournament tournament = std::move(tournament_);  // here, the compiler knows that nobody else changes it
    while (!tournament.is_over()) {
      Row& row = rows_[tournament.winner()];
      tournament.replace(row.following);
      const Event* event = row.next++;
      look_ahead(row);
      apply(row.ring, *event);
    }
    tournament_ = std::move(tournament);
    for (const Row& row : rows_) drop_applied(row);
  }

  std::size_t waiting() const {
    std::size_t count = 0;
    for (const std::vector<Event>& events : rings_) count += events.size();
    return count;
  }

 private:
  static constexpr std::size_t kAhead = 16;  // there are too many rows for the processor to do this by itself

  struct Row {  // the events of one ring that are not yet applied
    const Event* next;
    const Event* end;
    std::uint64_t following;  // number of the one after the next
    std::size_t ring;
  };

  // What the tournament compares. Within one merge times are close together, unless memory was overwritten.
  std::uint64_t number_of(const Event& event) const {
    return std::min(std::max(event.time, first_time_) - first_time_, Tournament::kEnded - 1);
  }
  void look_ahead(Row& row) const {
    __builtin_prefetch(row.next + kAhead);
    row.following = row.end - row.next > 1 ? number_of(row.next[1]) : Tournament::kEnded;
  }

  void begin(std::uint64_t horizon) {
    rows_.clear();
    first_time_ = horizon;
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      std::vector<Event>& events = rings_[i];
      bound(i, horizon);
      // From the end, as most wait for nothing; and so that a time from the future holds up only what came after it.
      std::size_t count = events.size();
      while (count != 0 && events[count - 1].time > horizon) --count;
      if (count == 0) continue;
      rows_.push_back({events.data(), events.data() + count, 0, i});
      first_time_ = std::min(first_time_, events.front().time);
    }
    // A time that is too old, of overwritten memory, may not push all others beyond what can be told apart.
    if (horizon != std::numeric_limits<std::uint64_t>::max())
      first_time_ = std::max(first_time_, horizon - std::min(horizon, Tournament::kEnded - 1));
    numbers_.clear();
    for (Row& row : rows_) {
      numbers_.push_back(number_of(*row.next));
      look_ahead(row);
    }
    tournament_.begin(numbers_);
  }

  // A ring of which this many wait has an event from a future that no clock has seen, or another has one that is too
  // old: overwritten memory, which must not make us wait, and grow, for ever. Some times more than what the rings
  // themselves can hold; the shared one is fed by many.
  static constexpr std::size_t kMostWaiting = std::size_t{1} << 16;
  static constexpr std::size_t kMostWaitingOfShared = std::size_t{1} << 20;
  void bound(std::size_t ring, std::uint64_t horizon) {
    std::vector<Event>& events = rings_[ring];
    if (events.size() <= (ring == 0 ? kMostWaitingOfShared : kMostWaiting)) return;
    for (Event& event : events) event.time = std::min(event.time, horizon);
  }

  void drop_applied(const Row& row) {
    std::vector<Event>& events = rings_[row.ring];
    events.erase(events.begin(), events.begin() + (row.next - events.data()));
  }

  std::vector<std::vector<Event>> rings_;
  // Of one merge, kept for their memory.
  std::vector<Row> rows_;
  std::vector<std::uint64_t> numbers_;  // of each row's first event
  std::uint64_t first_time_ = 0;
  Tournament tournament_;
};

}  // namespace leakwatch
