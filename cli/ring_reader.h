// SPDX-License-Identifier: Apache-2.0
//
// Empties the rings into the heap state and the thread ledger, one pass at a time, on whatever thread calls it: drain.h
// has the thread, the naps and the questions. The fast part of the reader, from the copy of the words to the counters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cli/event_merger.h"
#include "cli/heap_state.h"
#include "cli/shared_region.h"
#include "cli/thread_ledger.h"

namespace leakwatch {

class RingReader {
 public:
  // `region` must outlive the reader.
  explicit RingReader(SharedRegion& region);

  // Notes the time, takes what every ring holds, and applies what is not younger than that time; at the end of the
  // session all, whatever its time stamp. Returns how many events it took.
  std::size_t pass(bool to_the_end);

  const HeapState& heap() const { return heap_; }
  ThreadLedger& threads() { return threads_; }
  std::uint64_t bad_records() const { return bad_records_; }
  std::uint64_t events() const { return events_; }                        // taken so far
  std::size_t fullest_ring_words() const { return fullest_ring_words_; }  // that the last pass found

 private:
  std::size_t take_ring(std::uint32_t index);
  void apply(std::span<const RingEvent> batch);

  SharedRegion& region_;
  EventMerger merger_;
  HeapState heap_;
  ThreadLedger threads_;
  std::vector<std::uint64_t> words_;
  std::uint64_t bad_records_ = 0;
  std::uint64_t events_ = 0;
  std::size_t fullest_ring_words_ = 0;
};

}  // namespace leakwatch
