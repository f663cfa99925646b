// SPDX-License-Identifier: Apache-2.0
//
// The decoder of events, on literal words: the words of one event each, the ways in which a run of words can be wrong,
// and that what stands in front of the fault is kept.
#include "cli/state/event.h"

#include <array>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using shared::EventKind;

constexpr std::uint64_t kAllocate = std::uint64_t{7} << 56, kFree = std::uint64_t{9} << 56,
                        kReallocFree = std::uint64_t{13} << 56, kReallocFailed = std::uint64_t{17} << 56;
constexpr std::uint64_t kSmallAllocate = std::uint64_t{46} << 56, kUntimedFree = std::uint64_t{48} << 56,
                        kUntimedAllocate = std::uint64_t{53} << 56;
constexpr std::uint64_t kTimeBefore = 5;
constexpr std::uint64_t kHighest = 0x00ff'ffff'ffff'ffff;

struct Decoded {
  bool whole;
  std::vector<Event> events;
};

Decoded decode(const std::vector<std::uint64_t>& words) {
  Decoded result{};
  std::uint64_t time = kTimeBefore;
  result.whole = decode_events(words, time, result.events) == words.size();
  return result;
}

TEST_CASE("events decode to what their words say") {
  const std::vector<std::pair<std::vector<std::uint64_t>, Event>> table = {
      {{kAllocate | 0x7f00'0000'1010, 11, 24, 7}, {0x7f00'0000'1010, 11, 24, 7, EventKind::kAllocate}},
      {{kAllocate | 0x10, 0, 0, 0}, {0x10, 0, 0, 0, EventKind::kAllocate}},
      {{kFree | 0x7f00'0000'1010, 12}, {0x7f00'0000'1010, 12, 0, 0, EventKind::kFree}},
      {{kReallocFree | 0x20, 13}, {0x20, 13, 0, 0, EventKind::kReallocFree}},
      {{kReallocFailed | 0x20, 14}, {0x20, 14, 0, 0, EventKind::kReallocFailed}},
      {{kFree | kHighest, ~std::uint64_t{0}}, {kHighest, ~std::uint64_t{0}, 0, 0, EventKind::kFree}},
      {{kAllocate | kHighest, 1, ~std::uint64_t{0}, 0xffff'ffff},
       {kHighest, 1, ~std::uint64_t{0}, 0xffff'ffff, EventKind::kAllocate}},
      {{kAllocate | 0x10, 1, 24, std::uint64_t{24} << 32 | 7}, {0x10, 1, 24, 7, EventKind::kAllocate, 24}},
      {{kAllocate | 0x10, 1, 24, std::uint64_t{60} << 32 | 7}, {0x10, 1, 24, 7, EventKind::kAllocate, 60}},
      {{kSmallAllocate | 0x10, 11, std::uint64_t{7} << 32 | 24}, {0x10, 11, 24, 7, EventKind::kAllocate}},
      {{kSmallAllocate | kHighest, 11, ~std::uint64_t{0}},
       {kHighest, 11, 0xffff'ffff, 0xffff'ffff, EventKind::kAllocate}},
      {{kUntimedAllocate | 0x10, std::uint64_t{7} << 32 | 24}, {0x10, kTimeBefore, 24, 7, EventKind::kAllocate}},
      {{kUntimedAllocate | kHighest, ~std::uint64_t{0}},
       {kHighest, kTimeBefore, 0xffff'ffff, 0xffff'ffff, EventKind::kAllocate}},
      {{kUntimedFree | kHighest}, {kHighest, kTimeBefore, 0, 0, EventKind::kFree}},
  };
  for (const auto& [words, event] : table) {
    const Decoded decoded = decode(words);
    CHECK(decoded.whole);
    REQUIRE(decoded.events.size() == 1);
    CHECK(decoded.events[0] == event);
  }
}

TEST_CASE("the contract's event_word and the decoder agree") {
  for (const EventKind kind : {EventKind::kFree, EventKind::kReallocFree, EventKind::kReallocFailed}) {
    const Decoded decoded = decode({shared::event_word(kind, 0x1234'5678'9ab0), 1});
    REQUIRE(decoded.events.size() == 1);
    CHECK(decoded.events[0].kind == kind);
    CHECK(decoded.events[0].address == 0x1234'5678'9ab0);
  }
}

TEST_CASE("no words are no events") {
  const Decoded decoded = decode({});
  CHECK(decoded.whole);
  CHECK(decoded.events.empty());
}

TEST_CASE("events follow one another without gaps") {
  const Decoded decoded = decode({kFree | 1, 10, kAllocate | 2, 11, 100, 3, kReallocFree | 2, 12, kFree | 4, 13});
  CHECK(decoded.whole);
  REQUIRE(decoded.events.size() == 4);
  CHECK(decoded.events[1] == Event{2, 11, 100, 3, EventKind::kAllocate});
  CHECK(decoded.events[3] == Event{4, 13, 0, 0, EventKind::kFree});
}

TEST_CASE("an untimed event has the time of the one in front of it, whatever that is") {
  const Decoded decoded =
      decode({kUntimedFree | 1, kFree | 2, 10, kUntimedFree | 3, kSmallAllocate | 4, 11, 8, kUntimedFree | 5,
              kUntimedAllocate | 6, 8, kAllocate | 7, 12, 8, 1, kUntimedAllocate | 8, 8, kFree | 9, 13});
  CHECK(decoded.whole);
  std::vector<std::uint64_t> times, addresses;
  for (const Event& event : decoded.events) {
    times.push_back(event.time);
    addresses.push_back(event.address);
  }
  CHECK(times == std::vector<std::uint64_t>{kTimeBefore, 10, 10, 11, 11, 11, 12, 12, 13});
  CHECK(addresses == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("decoding appends to what is there, and goes on with its time") {
  std::vector<Event> events(1);
  std::uint64_t time = 3;
  CHECK(decode_events(std::array<std::uint64_t, 2>{kFree | 1, 10}, time, events) == 2);
  CHECK(events.size() == 2);
  CHECK(time == 10);
  CHECK(decode_events(std::array<std::uint64_t, 1>{kUntimedFree | 1}, time, events) == 1);
  CHECK(events.back().time == 10);
}

TEST_CASE("a cut-off event is refused and what came before it is kept") {
  const std::vector<std::uint64_t> whole = {kFree | 1, 10, kAllocate | 2, 11, 100, 3};
  for (std::size_t size = 3; size < whole.size(); ++size) {
    const Decoded decoded = decode({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    CHECK_FALSE(decoded.whole);
    CHECK(decoded.events.size() == 1);
  }
  CHECK_FALSE(decode({kFree | 1}).whole);
  CHECK_FALSE(decode({kReallocFree | 1}).whole);
  CHECK_FALSE(decode({kReallocFailed | 1}).whole);
  CHECK_FALSE(decode({kSmallAllocate | 1, 10}).whole);
  CHECK_FALSE(decode({kUntimedAllocate | 1}).whole);
}

TEST_CASE("an interval that there is none ends the decoding") {
  for (const std::uint64_t step : {1u, 23u, 61u, 255u, 256u, 24u + 256u, 0xffffffffu}) {
    const Decoded decoded = decode({kFree | 1, 10, kAllocate | 2, 11, 12, step << 32 | 7, kFree | 3, 12});
    CHECK_FALSE(decoded.whole);
    CHECK(decoded.events.size() == 1);
  }
}

TEST_CASE("a word that begins no event ends the decoding") {
  for (const std::uint64_t kind : {0, 1, 4, 6, 8, 44, 45, 47, 49, 51, 52, 64, 71, 73, 112, 127, 128, 174, 254, 255}) {
    const Decoded decoded = decode({kFree | 1, 10, kind << 56 | 2, 11, 12, 13});
    CHECK_FALSE(decoded.whole);
    CHECK(decoded.events.size() == 1);
  }
}

}  // namespace
}  // namespace leakwatch
