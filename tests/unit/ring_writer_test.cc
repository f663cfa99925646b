// SPDX-License-Identifier: Apache-2.0
//
// The target's end of a ring: who owns which, what stands in it, and that a writer whose reader is slow, silent or gone
// waits no longer than it may.
#include "preload/ring_writer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/preload_session.h"
#include "tests/unit/take_words.h"

namespace leakwatch {
namespace {

using preload::ThreadState;

constexpr std::uint64_t kWaitNs = 50'000'000;
constexpr std::uint64_t kEvent[] = {shared::event_word(shared::EventKind::kFree, 16), 1};

RegionSettings sampled() {
  return {.sample_interval = 512 * 1024, .max_depth = 8, .seed = 1, .clock = shared::Clock::kMonotonic};
}

std::uint64_t fill(preload::Session& session, ThreadState& thread) {
  std::uint64_t written = 0;
  while (written < session.ring_words && write_event(session, thread, kEvent, 0)) written += 2;
  return written;
}

void write_a_quarter(preload::Session& session, ThreadState& thread) {
  for (std::uint64_t i = 0; i < session.ring_words / 4; i += 2) write_event(session, thread, kEvent, 0);
}

// A thread that has a ring.
struct OneWriter {
  OneWriter() { claim_ring(*session, thread); }

  SharedRegion region{sampled()};
  PreloadSession session{region};
  ThreadState thread{};
};

template <class Call>
std::uint64_t nanoseconds_of(Call call) {
  const std::uint64_t begin = monotonic_ns();
  call();
  return monotonic_ns() - begin;
}

TEST_CASE("threads get rings of their own, and a ring given back is found again") {
  SharedRegion region(sampled());
  PreloadSession session(region);
  ThreadState a{}, b{}, c{};
  claim_ring(*session, a);
  claim_ring(*session, b);
  CHECK(a.ring == &region.ring(1));
  CHECK(b.ring == &region.ring(2));
  CHECK(region.rings_used() == 3);
  release_ring(a);
  CHECK(region.ring(1).owner == 0);
  claim_ring(*session, c);
  CHECK(c.ring == &region.ring(1));
  CHECK(region.rings_used() == 3);
}

// To open pages takes the lock of the whole address space. A page that was closed meanwhile tells whether it was done.
TEST_CASE_METHOD(OneWriter, "the pages of a ring are opened for the first thread that has it, and not again") {
  const std::uint64_t at = session->index_of(*thread.ring);
  release_ring(thread);
  REQUIRE(session->open_rings[0] == std::uint64_t{1} << at);
  void* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(session->words_of(region.ring(1))) & ~4095ul);
  const auto is_readable = [page] {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const bool can_read = write(ends[1], page, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return can_read;
  };
  CHECK(is_readable());
  REQUIRE(mprotect(page, 4096, PROT_NONE) == 0);
  claim_ring(*session, thread);
  CHECK(thread.ring != nullptr);
  CHECK_FALSE(is_readable());
  REQUIRE(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

TEST_CASE("a thread that finds no ring uses the shared one") {
  SharedRegion region(sampled());
  PreloadSession session(region);
  for (std::uint32_t i = 1; i < region.ring_count(); ++i) region.ring(i).owner = 1;
  ThreadState thread{};
  claim_ring(*session, thread);
  CHECK(thread.ring == nullptr);
  CHECK(write_event(*session, thread, kEvent, 0));
  std::vector<std::uint64_t> words;
  CHECK(take_words(region, 0, words));
  CHECK(words == std::vector<std::uint64_t>{kEvent[0], kEvent[1]});
}

TEST_CASE("a nested event goes to the shared ring") {
  SharedRegion region(sampled());
  PreloadSession session(region);
  CHECK(write_nested_event(*session, kEvent, 2));
  CHECK(region.ring(0).write_position == 2);
}

TEST_CASE_METHOD(OneWriter, "a full ring takes nothing more, and nothing in it is overwritten") {
  CHECK(fill(*session, thread) == session->ring_words);
  const std::uint64_t other[] = {99, 99};
  bool written = true;
  const std::uint64_t waited = nanoseconds_of([&] { written = write_event(*session, thread, other, kWaitNs); });
  CHECK_FALSE(written);
  CHECK(waited >= kWaitNs);
  CHECK(waited < kWaitNs + 1'000'000'000);
  CHECK(session.is_active());
  CHECK(session->header->writers_waiting == 0);
  std::vector<std::uint64_t> words;
  CHECK(take_words(region, 1, words));
  CHECK(std::count(words.begin(), words.end(), 99) == 0);
  CHECK(write_event(*session, thread, other, 0));
}

TEST_CASE("a position that was overwritten leads nowhere else than into the ring") {
  SharedRegion region(sampled());
  PreloadSession session(region);
  ThreadState thread{}, neighbour{};
  claim_ring(*session, thread);
  claim_ring(*session, neighbour);
  REQUIRE(session->words_of(*neighbour.ring) == session->words_of(*thread.ring) + session->ring_words);
  write_event(*session, thread, kEvent, 0);
  thread.ring->write_position = ~std::uint64_t{0};  // the last word, and behind where the thread may write unasked
  write_event(*session, thread, kEvent, 0);
  CHECK(session->words_of(*neighbour.ring)[0] == 0);
  CHECK(session->words_of(*thread.ring)[session->ring_words - 1] == kEvent[0]);
}

// Both were stopped for a while, as by Ctrl-Z and fg, and go on at the same time; or have clocks that differ.
TEST_CASE_METHOD(OneWriter, "a heartbeat that is old when it is looked at may still beat") {
  fill(*session, thread);
  const std::uint64_t old = monotonic_ns() - 10 * shared::kStaleNs;
  region.header().heartbeat_ns = old;
  std::thread reader([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    region.header().heartbeat_ns = old + 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    thread.ring->read_position = thread.ring->write_position.load();
  });
  CHECK(write_event(*session, thread, kEvent, 60'000'000'000));
  reader.join();
  CHECK(session.is_active());
  CHECK(region.header().ended == 0);
}

TEST_CASE_METHOD(OneWriter, "a reader whose heartbeat stopped ends the session at once") {
  fill(*session, thread);
  region.header().heartbeat_ns = monotonic_ns() - shared::kStaleNs - 1;
  bool written = true;
  CHECK(nanoseconds_of([&] { written = write_event(*session, thread, kEvent, 60'000'000'000); }) < 5'000'000'000);
  CHECK_FALSE(written);
  CHECK_FALSE(session.is_active());
  CHECK(region.header().ended == static_cast<std::uint32_t>(shared::End::kReaderStale));
  CHECK(region.header().ended_ns != 0);
}

TEST_CASE_METHOD(OneWriter, "a reader that said good-bye ends the session at once") {
  fill(*session, thread);
  region.header().reader_left = 1;
  bool written = true;
  CHECK(nanoseconds_of([&] { written = write_event(*session, thread, kEvent, 60'000'000'000); }) < 5'000'000'000);
  CHECK_FALSE(written);
  CHECK(region.header().ended == static_cast<std::uint32_t>(shared::End::kReaderLeft));
}

TEST_CASE_METHOD(OneWriter, "a thread with room in its ring notices within a quarter of it that the reader has left") {
  region.header().reader_left = 1;
  write_event(*session, thread, kEvent, 0);
  CHECK(session.is_active());
  write_a_quarter(*session, thread);
  CHECK_FALSE(session.is_active());
  CHECK(region.header().ended == static_cast<std::uint32_t>(shared::End::kReaderLeft));
}

TEST_CASE_METHOD(OneWriter, "a reader asleep is woken when half of a ring is full") {
  region.header().reader_sleeps = 1;
  write_event(*session, thread, kEvent, 0);
  write_a_quarter(*session, thread);
  CHECK(region.header().reader_sleeps == 1);
  write_a_quarter(*session, thread);
  CHECK(region.header().reader_sleeps == 0);
}

TEST_CASE_METHOD(OneWriter, "a reader asleep is left alone by a thread whose ring it keeps empty") {
  region.header().reader_sleeps = 1;
  std::vector<std::uint64_t> words;
  for (int i = 0; i < 12; ++i) {
    write_a_quarter(*session, thread);
    take_words(region, static_cast<std::uint32_t>(session->index_of(*thread.ring)), words);
  }
  CHECK(region.header().reader_sleeps == 1);
}

}  // namespace
}  // namespace leakwatch
