// SPDX-License-Identifier: Apache-2.0
//
// Empties the rings into the heap state and the thread ledger, one pass at a time, on whatever thread calls it: drain.h
// has the thread, the naps and the questions. The fast part of the reader, from the copy of the words to the counters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "cli/drain/event_merger.h"
#include "cli/drain/shared_region.h"
#include "cli/drain/sole_writer.h"
#include "cli/state/heap_state.h"
#include "cli/state/thread_ledger.h"

namespace leakwatch {

class RingReader {
 public:
  // `region` must outlive the reader.
  explicit RingReader(SharedRegion& region);

  struct Pass {
    std::size_t events = 0;  // that it took
    bool has_left_words = false;
    std::uint64_t until = 0;  // all that were stamped by then, and published when it began, have been applied
  };
  // Notes the time, takes what the rings hold, some ten thousand words in all, and applies what is not younger than
  // that time, nor than what it had to leave in a ring. At the end of the session time does not matter.
  Pass pass(bool to_the_end);
  // Calls one_pass(), which is to make a pass and return it, until everything has been applied that had been published
  // when this was called.
  template <class OnePass>
  void catch_up(bool to_the_end, OnePass&& one_pass) {
    const std::uint64_t begin = to_the_end ? kEnd : now(region_.settings().clock);
    // Overwritten memory may claim any time. But a pass takes nearly kLeastWordsOfRing of every ring that has them:
    // after so many passes all that was there is taken.
    std::size_t passes = region_.ring_words() / (kLeastWordsOfRing - shared::kMostWords) + 2;
    while (one_pass().until < begin && --passes != 0) continue;
  }

  const HeapState& heap() const { return heap_; }
  ThreadLedger& threads() { return threads_; }
  std::uint64_t bad_records() const { return bad_records_; }
  std::uint64_t events() const { return events_; }                        // taken so far
  std::size_t fullest_ring_words() const { return fullest_ring_words_; }  // since nothing was left

 private:
  // Of one pass, of each ring so many at least that it is worth the look.
  static constexpr std::size_t kLeastWordsOfRing = 256;
  static constexpr std::uint64_t kEnd = std::numeric_limits<std::uint64_t>::max();

  std::size_t look_at_rings(std::uint32_t rings);
  std::uint64_t take_ring(std::uint32_t index, std::size_t most_words);
  bool is_exact() const { return region_.settings().sample_interval == 1; }
  bool may_free_early();
  std::size_t decode(std::uint32_t index, SharedRegion::Look look);

  SharedRegion& region_;
  EventMerger merger_;
  HeapState heap_;
  ThreadLedger threads_;
  SoleWriter sole_writer_;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> times_;  // of each ring's last event
  std::uint64_t bad_records_ = 0;
  std::uint64_t events_ = 0;
  std::size_t fullest_ring_words_ = 0;
  bool has_left_words_ = false;       // the last pass
  std::uint64_t applied_until_ = 0;   // by the passes before, but those to the end
  std::uint64_t timed_since_ = kEnd;  // frees after that are timed
};

}  // namespace leakwatch
