// SPDX-License-Identifier: Apache-2.0
//
// One event of the target, as it came out of a ring: checked for form, not for truth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "proto/shared_memory.h"

namespace leakwatch {

struct Event {
  std::uint64_t address = 0;  // or token, or handle: see shared_memory.h
  std::uint64_t time = 0;     // ticks of the session's clock
  std::uint64_t size = 0;     // word 2: of kAllocate the bytes that the program asked for
  std::uint32_t stack = 0;    // word 3: of kAllocate the offset into the stack area in words
  shared::EventKind kind = shared::EventKind::kFree;
  std::uint8_t interval_step = 0;  // of kAllocate: see is_interval_step()
  friend bool operator==(const Event&, const Event&) = default;
};

// Appends the events in `words` to `events`; `time` is that of the ring's last event, which an untimed one takes for
// its own. What has several forms in a ring comes out in one: kSmallAllocate and kUntimedAllocate as kAllocate,
// kUntimedFree as kFree. Returns how many of the words they were: fewer than all when it met a word that begins no
// event, an interval that there is none, or a last event that is cut off. If nobody cut it off, all are impossible
// unless the target's memory was overwritten.
std::size_t decode_events(std::span<const std::uint64_t> words, std::uint64_t& time, std::vector<Event>& events);

}  // namespace leakwatch
