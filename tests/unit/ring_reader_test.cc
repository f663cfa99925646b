// SPDX-License-Identifier: Apache-2.0
//
// The reader of rings, of which a pass takes only so much: that what it leaves in a ring holds up what must come after
// it, that it catches up, and that it ends whatever overwritten memory says.
#include "cli/drain/ring_reader.h"

#include <atomic>
#include <cstdint>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/region_writer.h"

namespace leakwatch {
namespace {

using shared::EventKind;

constexpr RegionSettings kExact{.sample_interval = 1, .clock = shared::Clock::kMonotonic};

struct Reading {
  SharedRegion region{kExact};
  RegionWriter writer{region};
  RingReader reader{region};
};

std::uint64_t stamp() {
  return now(shared::Clock::kMonotonic);
}

std::vector<std::uint64_t> allocation(std::uint64_t address, std::uint64_t time, std::uint64_t size) {
  return {shared::event_word(EventKind::kAllocate, address), time, size, 1};
}
std::vector<std::uint64_t> release(std::uint64_t address, std::uint64_t time) {
  return {shared::event_word(EventKind::kFree, address), time};
}

std::size_t passes_to_catch_up(RingReader& reader, bool to_the_end) {
  std::size_t passes = 0;
  reader.catch_up(to_the_end, [&] {
    ++passes;
    return reader.pass(to_the_end);
  });
  return passes;
}

constexpr std::uint32_t kRings = 20;
constexpr std::uint64_t kRounds = 540, kAddresses = 7;

// Blocks go round: each is allocated on one ring and freed on the next one, where another comes to live at its address.
// So an event that is applied too early is an unknown free or an implied one. The rings are filled at different speeds,
// by blocks of their own. Returns how many events there are.
std::uint64_t fill_rings(RegionWriter& writer) {
  std::uint64_t time = 0, events = 0;
  const auto write = [&](std::uint32_t ring, const std::vector<std::uint64_t>& words) {
    writer.write(ring, words);
    ++events;
  };
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (std::uint32_t ring = 1; ring <= kRings; ++ring) {
      const std::uint64_t address = 16 * (1 + round % kAddresses), own = 4096 * ring;
      if (round >= kAddresses || ring > 1) write(ring, release(address, ++time));
      write(ring, allocation(address, ++time, ring));
      for (std::uint32_t i = 0; i < ring % 5; ++i) {
        write(ring, allocation(own, ++time, i));
        write(ring, release(own, ++time));
      }
    }
  }
  return events;
}

TEST_CASE_METHOD(Reading, "rings that are full are read in many passes, each event in its turn") {
  const std::uint64_t events = fill_rings(writer);
  const RingReader::Pass first = reader.pass(false);
  CHECK(first.events > 0);
  CHECK(first.events < events / 3);
  CHECK(first.until < kRounds * kRings * 10);
  CHECK(passes_to_catch_up(reader, false) > 1);
  CHECK(reader.events() == events);
  CHECK(reader.heap().live_blocks() == kAddresses);
  CHECK(reader.heap().unknown_frees() + reader.heap().implied_frees() + reader.bad_records() == 0);
}

TEST_CASE_METHOD(Reading, "at the end, events that no clock has seen yet are applied too") {
  const std::uint64_t future = now(shared::Clock::kMonotonic) + 3'600'000'000'000;
  for (std::uint64_t i = 1; i <= 4000; ++i) writer.write(1, allocation(16 * i, future + i, 1));
  writer.write(2, allocation(8, future, 1));
  CHECK(passes_to_catch_up(reader, false) == 1);
  CHECK(reader.heap().live_blocks() == 0);
  passes_to_catch_up(reader, true);
  CHECK(reader.heap().live_blocks() == 4001);
}

// As nothing is known of what is left of a ring but that it is not older, one whose clock stands still holds up all the
// others: not for ever.
TEST_CASE_METHOD(Reading, "a ring that is written faster than it is read does not keep the reader for ever") {
  const auto refill = [&] {
    for (std::uint32_t ring = 1; ring <= kRings; ++ring) {
      while (region.ring(ring).write_position - region.ring(ring).read_position < region.ring_words() - 4)
        writer.write(ring, allocation(16, 1, 8));
    }
  };
  refill();
  std::size_t passes = 0;
  reader.catch_up(false, [&] {
    refill();
    ++passes;
    return reader.pass(false);
  });
  CHECK(passes > 1);
  CHECK(reader.heap().total().alloc_objects > kRings * 2048);
}

TEST_CASE_METHOD(Reading, "words that begin no event cost their pass, and what comes after them is read") {
  writer.write(1, allocation(16, 1, 1));
  writer.write(1, {0, 0, 0, 0});
  passes_to_catch_up(reader, false);
  CHECK(reader.bad_records() == 1);
  writer.write(1, release(16, 2));
  passes_to_catch_up(reader, false);
  CHECK(reader.bad_records() == 1);
  CHECK(reader.events() == 2);
  CHECK(reader.heap().live_blocks() == 0);
}

std::vector<std::uint64_t> untimed_release(std::uint64_t address) {
  return {shared::event_word(EventKind::kUntimedFree, address)};
}

// The thread that frees was looked at when the other one had not published yet.
TEST_CASE_METHOD(Reading, "an untimed free of another thread's block may be read before its allocation") {
  writer.write(1, allocation(32, 1, 1));
  writer.write(2, untimed_release(16));
  const std::uint64_t stamped = stamp();
  reader.pass(false);
  writer.write(1, allocation(16, stamped, 1));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 1);
  CHECK(reader.heap().unknown_frees() == 0);
  CHECK(region.header().frees_are_timed == 0);
}

TEST_CASE_METHOD(Reading,
                 "once a free is of no known block, frees are timed, and none waits for a block that is to come") {
  writer.write(1, allocation(32, stamp(), 1));
  writer.write(2, untimed_release(16));
  for (int i = 0; i < 3; ++i) passes_to_catch_up(reader, false);
  CHECK(reader.heap().unknown_frees() == 1);
  CHECK(region.header().frees_are_timed == 1);
  for (int i = 0; i < 3; ++i) passes_to_catch_up(reader, false);
  writer.write(2, release(48, stamp()));
  writer.write(1, allocation(48, stamp(), 1));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 2);
  CHECK(reader.heap().unknown_frees() == 2);
}

// Published while the reader is about to say that frees are to be timed.
TEST_CASE_METHOD(Reading, "an untimed free that nobody could have timed any more still waits for its block") {
  writer.write(1, allocation(32, stamp(), 1));
  writer.write(2, release(160, stamp()));
  writer.write(2, allocation(48, stamp(), 1));
  while (reader.heap().unknown_frees() == 0) reader.pass(false);
  while (region.header().frees_are_timed == 0) reader.pass(false);
  const std::uint64_t stamped = stamp();
  writer.write(1, allocation(16, stamped, 1));
  writer.write(2, untimed_release(16));
  for (int i = 0; i < 3; ++i) passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 2);
  CHECK(reader.heap().unknown_frees() == 1);
}

std::vector<std::uint64_t> untimed_allocation(std::uint64_t address) {
  return {shared::event_word(EventKind::kUntimedAllocate, address), 1};
}

// What is read of a ring that is alone, one event at a time, until that ring is the sole one.
bool becomes_sole_one(Reading& reading, std::uint32_t ring) {
  const std::atomic<std::uint32_t>& word = reading.region.header().sole_writer;
  for (const std::uint64_t begin = stamp(); stamp() - begin < 10'000'000'000;) {
    if (shared::sole_ring(word) == ring && (word & shared::kSoleWriterIs) != 0) return true;
    reading.writer.write(ring, allocation(16, stamp(), 1));
    reading.writer.write(ring, release(16, stamp()));
    reading.reader.pass(false);
  }
  return false;
}

TEST_CASE("one free of no known block does not hide what is allocated and freed there for ever after") {
  for (const bool is_sole : {false, true}) {
    INFO(is_sole);
    Reading that;
    that.writer.write(2, allocation(32, stamp(), 1));
    if (is_sole) REQUIRE(becomes_sole_one(that, 1));
    that.writer.write(1, release(16, stamp()));
    that.reader.pass(false);
    const auto allocate = [&] { that.writer.write(1, is_sole ? untimed_allocation(16) : allocation(16, stamp(), 1)); };
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t last = stamp();
      while (stamp() <= last) continue;
      allocate();
      that.writer.write(1, untimed_release(16));
      that.reader.pass(false);
    }
    allocate();
    passes_to_catch_up(that.reader, false);
    CHECK(that.reader.heap().live_blocks() == 2);
    CHECK(that.region.header().frees_are_timed == 1);
  }
}

// The other one is about to take the word back.
TEST_CASE_METHOD(Reading, "a block of the sole writer may be freed early by another thread") {
  REQUIRE(becomes_sole_one(*this, 2));
  for (int i = 0; i < 5; ++i) {
    writer.write(2, untimed_allocation(32));
    writer.write(2, untimed_release(32));
    reader.pass(false);
  }
  writer.write(3, untimed_release(16));
  reader.pass(false);
  writer.write(2, untimed_allocation(16));
  for (int i = 0; i < 3; ++i) passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 0);
  CHECK(reader.heap().unknown_frees() == 0);
}

TEST_CASE_METHOD(Reading, "a ring that is the only one with events becomes the sole one, and others may be there") {
  writer.write(3, {});
  CHECK(becomes_sole_one(*this, 2));
}

TEST_CASE("in sampled mode no ring is the sole one") {
  SharedRegion region({.sample_interval = 1000, .clock = shared::Clock::kMonotonic});
  RegionWriter writer(region);
  RingReader reader(region);
  for (const std::uint64_t begin = stamp(); stamp() - begin < 3 * SoleWriter::kAloneNs;) {
    writer.write(1, release(16, stamp()));
    reader.pass(false);
  }
  CHECK(region.header().sole_writer == 0);
}

// Taken for what had happened by the pass before, though it came after.
TEST_CASE_METHOD(Reading, "an untimed allocation comes after what other rings had before it") {
  writer.write(1, allocation(16, stamp(), 1));
  writer.write(2, release(16, stamp()));
  writer.write(1, untimed_allocation(16));  // for want of a time stamp after the free, too early
  writer.write(3, allocation(32, stamp(), 1));
  writer.write(3, untimed_release(32));
  writer.write(3, untimed_allocation(32));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().implied_frees() == 1);
  writer.write(1, untimed_allocation(48));
  passes_to_catch_up(reader, false);
  writer.write(2, release(48, stamp()));
  passes_to_catch_up(reader, false);
  writer.write(1, untimed_allocation(48));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().implied_frees() == 1);
  CHECK(reader.heap().live_blocks() == 2);
}

TEST_CASE_METHOD(Reading, "a free that was not written, known by the next block at its address, has frees timed") {
  for (int i = 0; i < 2; ++i) writer.write(1, allocation(16, stamp(), 1));
  for (int i = 0; i < 2; ++i) passes_to_catch_up(reader, false);
  CHECK(reader.heap().implied_frees() == 1);
  CHECK(region.header().frees_are_timed == 1);
}

TEST_CASE_METHOD(Reading, "what is read only at the end may be freed early too") {
  writer.write(2, allocation(32, stamp(), 1));
  writer.write(1, allocation(16, stamp(), 1));
  writer.write(2, untimed_release(16));
  passes_to_catch_up(reader, true);
  CHECK(reader.heap().live_blocks() == 1);
  CHECK(reader.heap().unknown_frees() == 0);
}

TEST_CASE("where blocks may be older than the session, no free waits for one that is to come") {
  SharedRegion region(kExact);
  region.header().joined = region.header().frees_are_timed = 1;
  RegionWriter writer(region);
  RingReader reader(region);
  writer.write(1, allocation(32, stamp(), 1));
  writer.write(2, release(16, stamp()));
  writer.write(1, allocation(16, stamp(), 1));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 2);
  CHECK(reader.heap().unknown_frees() == 1);
}

TEST_CASE_METHOD(Reading, "a thread that is alone has written all in order") {
  writer.write(1, untimed_release(16));
  writer.write(1, allocation(16, stamp(), 1));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 1);
  CHECK(reader.heap().unknown_frees() == 1);
}

TEST_CASE_METHOD(Reading, "a thread that has no ring of its own is another one") {
  writer.write(0, allocation(32, stamp(), 1));
  writer.write(1, allocation(48, stamp(), 1));
  writer.write(0, allocation(16, stamp(), 1));
  writer.write(1, untimed_release(16));
  passes_to_catch_up(reader, false);
  CHECK(reader.heap().live_blocks() == 2);
  CHECK(reader.heap().unknown_frees() + reader.heap().implied_frees() == 0);
}

TEST_CASE_METHOD(Reading, "at the end, a free that still waits is of no known block") {
  writer.write(1, allocation(32, stamp(), 1));
  writer.write(2, untimed_release(16));
  passes_to_catch_up(reader, true);
  CHECK(reader.heap().live_blocks() == 1);
  CHECK(reader.heap().unknown_frees() == 1);
}

}  // namespace
}  // namespace leakwatch
