// SPDX-License-Identifier: Apache-2.0
//
// From words to events. The words were copied out of the shared memory before, so that the target cannot change them
// between the check and the use.

#include "cli/state/event.h"

#include <algorithm>
#include <array>

namespace leakwatch {

namespace {

using shared::EventKind;

// Of the kinds that nearly all events of an exact session are, which words they have: masks, for what differs from
// event to event is hard to guess, and may not be a branch.
struct Form {
  bool is_frequent = false;
  EventKind as{};
  std::uint64_t time = 0, allocation = 0;
  std::uint8_t allocation_at = 0;
};
constexpr std::array<Form, 256> kForms = [] {
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  std::array<Form, 256> forms{};
  forms[static_cast<std::size_t>(EventKind::kUntimedFree)] = {true, EventKind::kFree, 0, 0, 0};
  forms[static_cast<std::size_t>(EventKind::kFree)] = {true, EventKind::kFree, kAll, 0, 0};
  forms[static_cast<std::size_t>(EventKind::kSmallAllocate)] = {true, EventKind::kAllocate, kAll, kAll, 2};
  forms[static_cast<std::size_t>(EventKind::kUntimedAllocate)] = {true, EventKind::kAllocate, 0, kAll, 1};
  return forms;
}();

// The event that `words` begin with, of which there are kMostWords, if it is of a frequent kind. `time` is that of the
// event in front of it, and of this one afterwards. False when it is of another kind; then both are nothing.
[[gnu::always_inline]] inline bool decode_frequent(const std::uint64_t* words, std::uint64_t& time, Event& event) {
  const Form& form = kForms[words[0] >> shared::kKindShift];
  const std::uint64_t allocation = words[form.allocation_at] & form.allocation;
  event.address = words[0] & shared::kAddressMask;
  event.time = time = (words[1] & form.time) | (time & ~form.time);
  event.size = allocation & (shared::kSmallBytes - 1);
  event.stack = static_cast<std::uint32_t>(allocation >> shared::kStackShift);
  event.kind = form.as;
  event.interval_step = 0;
  return form.is_frequent;
}

// The same of all kinds. False when there is no event, or not all of it.
bool decode_any(std::span<const std::uint64_t> words, std::uint64_t& time, Event& event) {
  const auto kind = static_cast<EventKind>(words[0] >> shared::kKindShift);
  const std::size_t count = shared::words_of(kind);
  if (!shared::is_kind(kind) || count > words.size()) return false;
  std::uint64_t all[shared::kMostWords] = {};
  std::copy_n(words.data(), count, all);
  if (decode_frequent(all, time, event)) return true;  // at the end of the words
  event = {all[0] & shared::kAddressMask, all[1], all[2], static_cast<std::uint32_t>(all[3]), kind};
  if (kind == EventKind::kAllocate) {
    const std::uint64_t step = all[3] >> shared::kStepShift;
    if (!shared::is_interval_step(step)) return false;
    event.interval_step = static_cast<std::uint8_t>(step);
  }
  time = event.time;
  return true;
}

}  // namespace

std::size_t decode_events(std::span<const std::uint64_t> words, std::uint64_t& time, std::vector<Event>& events) {
  // Twice as much at least: what waits to be merged may be much more than what has come.
  const std::size_t most = events.size() + words.size();
  if (most > events.capacity()) events.reserve(std::max(most, 2 * events.capacity()));
  std::array<Event, 64> some;  // as a vector that grows by one keeps its length in memory
  const std::uint64_t* next = words.data();
  const std::uint64_t* const end = next + words.size();
  std::uint64_t last_time = time;
  for (bool is_sound = true; is_sound && next != end;) {
    std::size_t count = 0;
    do {
      Event& event = some[count];
      const auto left = static_cast<std::size_t>(end - next);
      std::uint64_t its_time = last_time;
      if (left < shared::kMostWords || !decode_frequent(next, its_time, event)) [[unlikely]] {
        its_time = last_time;
        is_sound = decode_any({next, left}, its_time, event);
        if (!is_sound) break;
      }
      last_time = its_time;
      next += shared::words_of(static_cast<EventKind>(*next >> shared::kKindShift));
    } while (++count != some.size() && next != end);
    events.insert(events.end(), some.begin(), some.begin() + count);
  }
  time = last_time;
  return static_cast<std::size_t>(next - words.data());
}

}  // namespace leakwatch
