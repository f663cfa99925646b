// SPDX-License-Identifier: Apache-2.0
//
// From words to events. The words were copied out of the shared memory before, so that the target cannot change them
// between the check and the use.

#include "cli/event.h"

#include <algorithm>

namespace leakwatch {

namespace {

// Of the first word's kind; where it has no third and fourth word, what is there belongs to others. False when it has
// an interval that there is none.
bool add_event(const std::uint64_t* words, shared::EventKind kind, std::size_t count, std::vector<Event>& events) {
  // No branches: which kind is next is hard to guess.
  const std::uint64_t belongs = count == 4 ? ~std::uint64_t{0} : 0;
  const std::uint64_t step = kind == shared::EventKind::kAllocate ? words[3] >> shared::kStepShift : 0;
  if (!shared::is_interval_step(step)) [[unlikely]]
    return false;
  events.push_back({words[0] & shared::kAddressMask, words[1], words[2] & belongs,
                    static_cast<std::uint32_t>(words[3] & belongs), kind, static_cast<std::uint8_t>(step)});
  return true;
}

}  // namespace

bool decode_events(std::span<const std::uint64_t> words, std::vector<Event>& events) {
  // Twice as much at least: what waits to be merged may be much more than what has come.
  const std::size_t most = events.size() + words.size() / 2;
  if (most > events.capacity()) events.reserve(std::max(most, 2 * events.capacity()));
  while (!words.empty()) {
    const auto kind = static_cast<shared::EventKind>(words[0] >> shared::kKindShift);
    const std::size_t count = shared::words_of(kind);
    if (count == 0 || count > words.size()) return false;
    if (words.size() >= 4) [[likely]] {
      if (!add_event(words.data(), kind, count, events)) return false;
    } else {
      const std::uint64_t last[4] = {words[0], words[1]};
      add_event(last, kind, count, events);
    }
    words = words.subspan(count);
  }
  return true;
}

}  // namespace leakwatch
