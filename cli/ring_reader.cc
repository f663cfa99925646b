// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/ring_reader.h"

#include <algorithm>
#include <limits>

namespace leakwatch {

RingReader::RingReader(SharedRegion& region) : region_(region), heap_(region.settings().sample_interval) {}

std::size_t RingReader::pass(bool to_the_end) {
  // Read before the rings: the reason is in event_merger.h.
  const std::uint64_t horizon = to_the_end ? std::numeric_limits<std::uint64_t>::max() : now(region_.settings().clock);
  const std::uint32_t rings = region_.rings_used();
  std::size_t taken = 0;
  fullest_ring_words_ = 0;
  for (std::uint32_t i = 0; i < rings; ++i) taken += take_ring(i);
  merger_.sort_ring(0);
  merger_.merge_batches_until(horizon, [this](std::span<const RingEvent> batch) { apply(batch); });
  events_ += taken;
  return taken;
}

// Each takes what is its own; neither looks at what the other made of its events.
void RingReader::apply(std::span<const RingEvent> batch) {
  heap_.apply(batch);
  for (const RingEvent& each : batch) {
    if (each.event->kind >= shared::EventKind::kThreadCreate) [[unlikely]]
      threads_.apply(*each.event);
  }
}

std::size_t RingReader::take_ring(std::uint32_t index) {
  if (!region_.take_words(index, words_)) ++bad_records_;
  fullest_ring_words_ = std::max(fullest_ring_words_, words_.size());
  if (words_.empty()) return 0;
  std::vector<Event>& events = merger_.ring(index);
  const std::size_t before = events.size();
  if (!decode_events(words_, events)) ++bad_records_;
  return events.size() - before;
}

}  // namespace leakwatch
