// SPDX-License-Identifier: Apache-2.0
//
// See the header. The target's counters are as little to be trusted as all that it writes: a sum that falls or leaps
// moves the interval and what is said of the cost, and nothing else.

#include "cli/drain/steering.h"

#include <algorithm>

#include "cli/process/process.h"

namespace leakwatch {

namespace {

constexpr std::uint64_t kEveryNs = 100'000'000;
constexpr std::uint64_t kLookAtHeapEveryNs = 1'000'000'000;   // it has to be summed up
constexpr std::uint64_t kMostTicks = std::uint64_t{1} << 50;  // of all threads in that time: days

}  // namespace

Steering::Steering(SharedRegion& region, pid_t pid)
    : region_(region),
      pid_(pid),
      began_(tick_moment(region.settings().clock)),
      processor_ns_at_start_(processor_ns(pid)),
      next_ns_(began_.ns + kEveryNs),
      interval_(region.settings().sample_interval) {
  const double limit = region.settings().overhead_limit;
  if (limit > 0) controller_.emplace(limit, interval_);
  cost_.limit = limit;
  cost_.smallest_interval = cost_.largest_interval = interval_;
}

void Steering::tend(const HeapState& heap, std::uint64_t reader_ns) {
  // What the program does from then on is not what the cost is a share of.
  if (region_.header().ended.load(std::memory_order_relaxed) != 0) return;
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns < next_ns_) return;
  next_ns_ = now_ns + kEveryNs;
  measure(reader_ns);
  if (!controller_) return;
  if (now_ns - looked_at_ >= kLookAtHeapEveryNs) {
    looked_at_ = now_ns;
    live_bytes_ = static_cast<std::uint64_t>(std::max<std::int64_t>(heap.total().inuse_space, 0));
  }
  const std::uint32_t step = controller_->next_step({.now_ns = now_ns,
                                                     .processor_ns = cost_.processor_ns,
                                                     .cost_ns = cost_.target_ns - lookup_ns_ + cost_.reader_ns,
                                                     .lookup_ns = lookup_ns_,
                                                     .live_bytes = live_bytes_});
  if (step != step_) take_up(step);
}

std::uint64_t Steering::more_ns(Counter& counter) const {
  const std::uint64_t ticks = region_.sum(counter.field);
  const std::uint64_t gained = ticks < counter.ticks ? 0 : ticks - counter.ticks;
  const auto more = static_cast<double>(std::min(gained, kMostTicks));
  counter.ticks = ticks;
  return static_cast<std::uint64_t>(more * ns_per_tick(began_, tick_moment(region_.settings().clock)));
}

// All or nothing: the figures are of one moment, also when the target has gone.
void Steering::measure(std::uint64_t reader_ns) {
  const std::uint64_t processor = processor_ns(pid_);
  if (processor < processor_ns_at_start_ + cost_.processor_ns) return;  // another process, by the same number
  const std::uint64_t lookups_ns = more_ns(lookups_);
  lookup_ns_ += lookups_ns;
  cost_.target_ns += more_ns(calls_) + lookups_ns;
  cost_.reader_ns = reader_ns;
  cost_.processor_ns = processor - processor_ns_at_start_;
}

void Steering::take_up(std::uint32_t step) {
  step_ = step;
  interval_ = shared::interval_of_step(step, region_.settings().sample_interval);
  cost_.smallest_interval = std::min(cost_.smallest_interval, interval_);
  cost_.largest_interval = std::max(cost_.largest_interval, interval_);
  region_.header().interval_step.store(step, std::memory_order_relaxed);
}

}  // namespace leakwatch
