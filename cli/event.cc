// SPDX-License-Identifier: Apache-2.0
//
// From words to events. The words were copied out of the shared memory before, so that the target cannot change them
// between the check and the use.

#include "cli/event.h"

namespace leakwatch {

bool decode_events(std::span<const std::uint64_t> words, std::vector<Event>& events) {
  while (!words.empty()) {
    Event event;
    event.kind = static_cast<shared::EventKind>(words[0] >> shared::kKindShift);
    event.address = words[0] & shared::kAddressMask;
    const std::size_t count = shared::words_of(event.kind);
    if (count == 0 || count > words.size()) return false;
    event.time = words[1];
    if (count == 4) {
      event.size = words[2];
      event.stack = static_cast<std::uint32_t>(words[3]);
    }
    if (event.kind == shared::EventKind::kAllocate) {
      const std::uint64_t step = words[3] >> shared::kStepShift;
      if (!shared::is_interval_step(step)) return false;
      event.interval_step = static_cast<std::uint8_t>(step);
    }
    events.push_back(event);
    words = words.subspan(count);
  }
  return true;
}

}  // namespace leakwatch
