// SPDX-License-Identifier: Apache-2.0
//
// Words to events to counters, for each sampling interval that the first byte chooses. The input is the ring's words as
// they are, so that a corpus can be read with a hex dump; or, when the first byte says so, they are bent into events of
// a few addresses, so that these meet.
#include <cstring>
#include <unordered_map>

#include "cli/state/event.h"
#include "cli/state/heap_state.h"
#include "tests/fuzz/input.h"

namespace leakwatch {
namespace {

void bend(std::vector<std::uint64_t>& words) {
  for (std::size_t i = 0; i < words.size();) {
    const shared::EventKind kind = fuzz::heap_kind(words[i] >> 32);
    words[i] = shared::event_word(kind, words[i] & 0x1f);
    i += shared::words_of(kind);
  }
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  constexpr std::uint64_t kIntervals[] = {1, 2, 512 * 1024, std::uint64_t{1} << 30};
  const std::uint64_t interval = kIntervals[data[0] & 3];
  std::vector<std::uint64_t> words((size - 1) / sizeof(std::uint64_t));
  if (!words.empty()) std::memcpy(words.data(), data + 1, words.size() * sizeof(std::uint64_t));
  if ((data[0] & 4) != 0) bend(words);
  std::vector<Event> events;
  std::uint64_t time = 0;
  const std::size_t decoded = decode_events(words, time, events);
  std::size_t used = 0;
  HeapState heap(interval);
  if ((data[0] & 8) != 0) heap.expect_early_frees(1);
  std::uint64_t allocations = 0;
  for (const Event& event : events) {
    fuzz::check(used < decoded);
    used += shared::words_of(static_cast<shared::EventKind>(words[used] >> shared::kKindShift));
    heap.take(static_cast<std::size_t>(event.address & 1), event);
    allocations += event.kind == shared::EventKind::kAllocate;
    if ((data[0] & 64) != 0 && event.time % 64 > 3) continue;  // several are on their way
    heap.finish();
    fuzz::check(heap.live_blocks() <= allocations);
    // As the reader does it: some time passes, or none comes early any more.
    if ((data[0] & 16) != 0 && event.time % 8 == 0) heap.settle_early_frees(event.time / 8);
    if ((data[0] & 32) != 0 && event.time % 8 == 1) heap.expect_early_frees(std::nullopt);
  }
  heap.finish();
  fuzz::check(used <= words.size() && used == decoded);
  heap.settle_early_frees(1);
  fuzz::check(heap.live_blocks() + heap.unknown_frees() + heap.implied_frees() <= events.size());
  for (const HeapState::Site& site : heap.sites()) {
    const HeapCounters& c = site.counters;
    fuzz::check(c.alloc_objects > 0 && c.alloc_space >= 0);
    fuzz::check(c.inuse_objects >= 0 && c.inuse_objects <= c.alloc_objects);
    fuzz::check(c.inuse_space >= 0 && c.inuse_space <= c.alloc_space);
  }
}

}  // namespace
}  // namespace leakwatch

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leakwatch::run(data, size);
  return 0;
}
