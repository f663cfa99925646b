// SPDX-License-Identifier: Apache-2.0
//
// What was measured so far, for plots and for differences with the past: a point for every second that grow coarser
// with age, and heap snapshots of the start and of the last minutes. Bounded, however long the program runs: about a
// thousand points and six snapshots. When the process executes another program everything begins anew, as its counts
// do.
//
// Times here are seconds on a clock that nobody sets, from the first look at the program that runs now.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "cli/session/profile_source.h"

namespace leakwatch {

// One second; of older ones several together: the highest of each figure, so that no peak is ever lost, and the last of
// those that only rise.
struct HistoryPoint {
  std::uint64_t number = 0;  // rises from point to point, over programs too
  double seconds = 0;
  std::int64_t live_bytes = 0;
  std::uint64_t resident_bytes = 0;  // 0: the process is gone
  std::uint64_t kernel_threads = 0;  // likewise
  std::int64_t allocated_bytes = 0;  // ever: two points give the rate between them
  friend bool operator==(const HistoryPoint&, const HistoryPoint&) = default;
};

struct HistoryView {
  LiveTotals totals;       // of the newest point; time_ns is 0 when there is none
  double seconds = 0;      // now
  std::uint64_t last = 0;  // number of the newest point
  std::vector<HistoryPoint> points;
};

struct HistoryNow {
  std::uint64_t program = 0;  // 0: none has called back yet
  double seconds = 0;
};

struct HeldHeap {
  double seconds = 0;  // when it was taken
  Moment<HeapSnapshot> moment;
};

class History {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kRecentPoints = 600;
  static constexpr std::size_t kOlderPoints = 400;
  static constexpr std::chrono::seconds kHeapEvery{75};
  static constexpr std::chrono::minutes kHeapsReachBack{5};

  explicit History(std::function<Clock::time_point()> clock = Clock::now) : clock_(std::move(clock)) {}

  // To be called every second or so, by one thread: takes from `source` what is due. Throws what that throws.
  void tend(ProfileSource& source);

  // All else: any thread.
  // Points with a higher number than `after`; all of them when that is a number that has not been yet.
  HistoryView view(std::uint64_t after = 0) const;
  HistoryNow now() const;

  // Kept heaps, oldest first; the first of all is always there.
  std::vector<HeldHeap> heaps() const;
  // Its snapshot is null as long as there is none.
  Moment<HeapSnapshot> at_start() const;
  // The youngest kept one that is at least that old, or the one at the start.
  Moment<HeapSnapshot> before(std::chrono::seconds age) const;

 private:
  void begin_anew(Clock::time_point now);
  void add(const HistoryPoint& point);
  void put_away(const HistoryPoint& point);
  void halve_older();
  bool is_heap_due() const;
  void keep(Moment<HeapSnapshot> heap);
  double seconds_at(Clock::time_point when) const { return std::chrono::duration<double>(when - began_).count(); }

  const std::function<Clock::time_point()> clock_;
  mutable std::mutex mutex_;  // for all that follows
  Clock::time_point began_{};
  LiveTotals totals_;
  std::uint64_t points_ever_ = 0;
  std::deque<HistoryPoint> recent_;
  std::vector<HistoryPoint> older_;
  std::size_t points_in_one_ = 1;   // of older_; doubles whenever older_ is full
  std::size_t points_in_last_ = 0;  // of older_
  std::optional<HeldHeap> start_;
  std::deque<HeldHeap> heaps_;  // after the start
};

}  // namespace leakwatch
