// SPDX-License-Identifier: Apache-2.0
//
// Finds out when only one ring is written to, and tells its writer, who then needs no time stamps for allocations:
// shared_memory.h says what both sides agree on. The writers of other rings take it back by themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "proto/shared_memory.h"

namespace leakwatch {

class SoleWriter {
 public:
  // Long enough that threads which write now and then do not have the word written to for nothing all the time.
  static constexpr std::uint64_t kAloneNs = 10'000'000;

  // The look that goes on found words in that ring.
  void saw(std::uint32_t ring) { seen_ = seen_ == kNone || seen_ == ring ? ring : kSeveral; }

  // All rings were looked at. `now` returns nanoseconds of CLOCK_MONOTONIC; `word` is Header::sole_writer.
  template <class Now>
  void end_look(Now&& now, std::atomic<std::uint32_t>& word) {
    const std::uint32_t seen = std::exchange(seen_, kNone);
    if (seen == kNone) return;
    if (seen != ring_) {
      ring_ = seen;
      settled_looks_ = 0;
      since_ = now();
      // Who wrote there may not have seen it, and then does not take it back.
      if (named_ != 0) word.compare_exchange_strong(named_, 0, std::memory_order_seq_cst);
      named_ = 0;
      return;
    }
    if (ring_ == kSeveral) return;
    std::uint32_t held = word.load(std::memory_order_acquire);
    settled_looks_ = held != 0 && held == (named_ | shared::kSoleWriterIs) ? settled_looks_ + 1 : 0;
    if (held == 0 && now() - since_ >= kAloneNs) {
      named_ = shared::sole_writer_to_be(ring_, ++number_);
      word.compare_exchange_strong(held, named_, std::memory_order_seq_cst);
      since_ = now();  // after it was named
    } else if (held != 0 && held == named_ && now() - since_ >= shared::kSoleGraceNs) {
      word.compare_exchange_strong(held, named_ | shared::kSoleWriterIs, std::memory_order_seq_cst);
    }
  }

  // What the last look found is the sole writer's, and nobody had taken it back by the end of it; and so it was before:
  // no event that came before one of these is still to come.
  bool is_settled() const { return settled_looks_ >= 2; }

 private:
  static constexpr std::uint32_t kSeveral = 0, kNone = ~std::uint32_t{0};  // ring 0 has several writers by itself

  std::uint32_t seen_ = kNone;     // ring of this look
  std::uint32_t ring_ = kSeveral;  // of all looks since then
  std::uint64_t since_ = 0;        // alone, or named
  std::uint32_t named_ = 0;
  std::uint64_t settled_looks_ = 0;
  std::uint32_t number_ = 0;
};

}  // namespace leakwatch
