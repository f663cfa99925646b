// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/drain/ring_reader.h"

#include <algorithm>

namespace leakwatch {

namespace {

// Of one pass: few enough that their events are still in the processor's cache when they are merged, and that nobody
// waits for the pass.
constexpr std::size_t kMostWords = 16384;

static_assert(shared::kMostRings <= Tournament::kMostRows);

}  // namespace

RingReader::RingReader(SharedRegion& region)
    : region_(region), heap_(region.settings().sample_interval), times_(shared::kMostRings) {}

RingReader::Pass RingReader::pass(bool to_the_end) {
  // Read before the rings: the reason is in event_merger.h.
  Pass pass{.until = to_the_end ? kEnd : now(region_.settings().clock)};
  const std::uint64_t before = events_;
  const std::uint32_t rings = region_.rings_used();
  const std::size_t share = std::max(kMostWords / look_at_rings(rings), kLeastWordsOfRing);
  // What is left of a ring is not older than the last event that was taken of it. Those of the shared ring are not in
  // order, so it is never left.
  pass.until = std::min(pass.until, take_ring(0, region_.ring_words()));
  for (std::uint32_t i = 1; i < rings; ++i) pass.until = std::min(pass.until, take_ring(i, share));
  if (is_exact()) sole_writer_.end_look(monotonic_ns, region_.header().sole_writer);
  heap_.expect_early_frees(may_free_early() ? std::optional(now(region_.settings().clock)) : std::nullopt);
  merger_.sort_ring(0);
  merger_.merge_until(pass.until, [this](std::size_t ring, const Event& event) {
    if (event.kind < shared::EventKind::kThreadCreate) [[likely]]
      heap_.take(ring, event);
    else
      threads_.apply(event);
  });
  heap_.finish();
  heap_.settle_early_frees(pass.until);
  if (!to_the_end) applied_until_ = std::max(applied_until_, pass.until);
  pass.events = events_ - before;
  pass.has_left_words = has_left_words_;
  return pass;
}

// Of what was just taken from the rings. Only beside other threads (which had their ring before they published the
// block): one alone has written all in order, and so has one that is the sole writer. Once a free was of no known
// block, or one was not written, frees must be timed; and are, when all that was published before we said so has been
// applied.
bool RingReader::may_free_early() {
  shared::Header& header = region_.header();
  if (!is_exact() || header.joined.load(std::memory_order_relaxed) != 0) return false;
  if (timed_since_ == kEnd && heap_.unknown_frees() + heap_.implied_frees() != 0)
    header.frees_are_timed.store(1, std::memory_order_seq_cst);  // seen by others before the time is
  if (timed_since_ == kEnd && header.frees_are_timed.load(std::memory_order_relaxed) != 0)
    timed_since_ = now(region_.settings().clock);
  const bool has_others = region_.rings_used() > 2 || times_[0] != 0;  // or on the shared ring
  return applied_until_ < timed_since_ && has_others && !sole_writer_.is_settled();
}

// Returns how many of them hold words, one at least.
std::size_t RingReader::look_at_rings(std::uint32_t rings) {
  if (!has_left_words_) fullest_ring_words_ = 0;
  has_left_words_ = false;
  std::size_t busy = 0;
  for (std::uint32_t i = 0; i < rings; ++i) {
    const std::size_t held = region_.words_held(i);
    busy += held != 0;
    fullest_ring_words_ = std::max(fullest_ring_words_, held);
  }
  return std::max<std::size_t>(busy, 1);
}

// Returns until when all events of the ring are known, if they go by the clock.
std::uint64_t RingReader::take_ring(std::uint32_t index, std::size_t most_words) {
  const SharedRegion::Look look = region_.look_at_words(index, most_words, words_);
  if (look == SharedRegion::Look::kNonsense) ++bad_records_;
  if (words_.empty()) return kEnd;
  sole_writer_.saw(index);
  region_.give_back(index, decode(index, look));
  if (look == SharedRegion::Look::kAll) return kEnd;
  has_left_words_ = true;
  const std::vector<Event>& events = merger_.ring(index);
  return events.empty() ? 0 : events.back().time;
}

// Returns how many of the words are done with: an event that only the look cut off is for the next pass.
std::size_t RingReader::decode(std::uint32_t index, SharedRegion::Look look) {
  std::vector<Event>& events = merger_.ring(index);
  const std::size_t before = events.size();
  // If nothing was left of the ring, what is new was published after that time, and so before anything that follows at
  // its address was stamped; and a thread may have slept since its last event. An untimed event may thus come to stand
  // above a timed one behind it, which was stamped but not published by then: that one is late in no other respect, as
  // all that was looked at has been applied up to there, and whatever comes after it at its address is stamped later.
  times_[index] = std::max(times_[index], applied_until_);
  const std::size_t used = decode_events(words_, times_[index], events);
  events_ += events.size() - before;
  const std::size_t left = words_.size() - used;
  if (left == 0) return used;
  if (look == SharedRegion::Look::kFirst && left < shared::kMostWords) return used;
  ++bad_records_;
  return words_.size();
}

}  // namespace leakwatch
