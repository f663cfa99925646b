// SPDX-License-Identifier: Apache-2.0
//
// See the header. The source is never asked under the lock: whoever reads waits for no look at the program.

#include "cli/serve/history.h"

#include <algorithm>
#include <utility>

namespace leakwatch {

namespace {

HistoryPoint together(const HistoryPoint& earlier, HistoryPoint later) {
  later.live_bytes = std::max(earlier.live_bytes, later.live_bytes);
  later.resident_bytes = std::max(earlier.resident_bytes, later.resident_bytes);
  later.kernel_threads = std::max(earlier.kernel_threads, later.kernel_threads);
  return later;
}

}  // namespace

void History::tend(ProfileSource& source) {
  LiveTotals totals = source.totals();
  if (totals.time_ns == 0) return;
  const Clock::time_point now = clock_();
  bool is_due = false;
  {
    const std::lock_guard lock(mutex_);
    if (totals.program != totals_.program || points_ever_ == 0) begin_anew(now);
    add({.number = ++points_ever_,
         .seconds = seconds_at(now),
         .live_bytes = totals.heap.inuse_space,
         .resident_bytes = totals.resident_bytes,
         .kernel_threads = totals.kernel_threads,
         .allocated_bytes = totals.heap.alloc_space});
    totals_ = std::move(totals);
    is_due = is_heap_due();
  }
  if (is_due) keep(source.heap());
}

void History::begin_anew(Clock::time_point now) {
  began_ = now;
  recent_.clear();
  older_.clear();
  points_in_one_ = 1;
  points_in_last_ = 0;
  start_.reset();
  heaps_.clear();
}

void History::add(const HistoryPoint& point) {
  recent_.push_back(point);
  if (recent_.size() <= kRecentPoints) return;
  put_away(recent_.front());
  recent_.pop_front();
}

void History::put_away(const HistoryPoint& point) {
  if (!older_.empty() && points_in_last_ < points_in_one_) {
    older_.back() = together(older_.back(), point);
    ++points_in_last_;
    return;
  }
  if (older_.size() == kOlderPoints) halve_older();
  older_.push_back(point);
  points_in_last_ = 1;
}

void History::halve_older() {
  static_assert(kOlderPoints % 2 == 0);
  for (std::size_t i = 0; i < kOlderPoints / 2; ++i) older_[i] = together(older_[2 * i], older_[2 * i + 1]);
  older_.resize(kOlderPoints / 2);
  points_in_one_ *= 2;
}

bool History::is_heap_due() const {
  if (!start_) return true;
  const double last = heaps_.empty() ? start_->seconds : heaps_.back().seconds;
  return recent_.back().seconds - last >= std::chrono::duration<double>(kHeapEvery).count();
}

// A heap is dropped when a younger one reaches back far enough.
void History::keep(Moment<HeapSnapshot> heap) {
  const Clock::time_point now = clock_();
  const std::lock_guard lock(mutex_);
  // The process may have become another program meanwhile: the next point will show that.
  if (!heap.snapshot || heap.program != totals_.program) return;
  HeldHeap held{seconds_at(now), std::move(heap)};
  if (!start_) {
    start_ = std::move(held);
    return;
  }
  const double reach = held.seconds - std::chrono::duration<double>(kHeapsReachBack).count();
  heaps_.push_back(std::move(held));
  while (heaps_.size() > 1 && heaps_[1].seconds <= reach) heaps_.pop_front();
}

HistoryView History::view(std::uint64_t after) const {
  const Clock::time_point now = clock_();
  const std::lock_guard lock(mutex_);
  if (points_ever_ == 0) return {};
  if (after > points_ever_) after = 0;
  HistoryView view{totals_, seconds_at(now), points_ever_, {}};
  const auto is_new = [after](const HistoryPoint& point) { return point.number > after; };
  std::copy_if(older_.begin(), older_.end(), std::back_inserter(view.points), is_new);
  std::copy_if(recent_.begin(), recent_.end(), std::back_inserter(view.points), is_new);
  return view;
}

HistoryNow History::now() const {
  const Clock::time_point now = clock_();
  const std::lock_guard lock(mutex_);
  if (points_ever_ == 0) return {};
  return {totals_.program, seconds_at(now)};
}

std::vector<HeldHeap> History::heaps() const {
  const std::lock_guard lock(mutex_);
  std::vector<HeldHeap> all;
  if (start_) all.push_back(*start_);
  all.insert(all.end(), heaps_.begin(), heaps_.end());
  return all;
}

Moment<HeapSnapshot> History::at_start() const {
  const std::lock_guard lock(mutex_);
  return start_ ? start_->moment : Moment<HeapSnapshot>();
}

Moment<HeapSnapshot> History::before(std::chrono::seconds age) const {
  const double latest = now().seconds - std::chrono::duration<double>(age).count();
  Moment<HeapSnapshot> found;
  for (HeldHeap& held : heaps()) {
    if (!found.snapshot || held.seconds <= latest) found = std::move(held.moment);
  }
  return found;
}

}  // namespace leakwatch
