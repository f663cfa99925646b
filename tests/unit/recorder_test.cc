// SPDX-License-Identifier: Apache-2.0
//
// What becomes of one call in exact mode: the words that a free takes, when it is timed, and what is said of one that
// could not be written.
#include "preload/recorder.h"

#include <vector>

#include "preload/ring_writer.h"
#include "tests/unit/catch.h"
#include "tests/unit/own_thread.h"
#include "tests/unit/preload_session.h"
#include "tests/unit/take_words.h"

namespace leakwatch {
namespace {

using shared::EventKind;

constexpr RegionSettings kExact{.sample_interval = 1, .max_depth = 8, .seed = 1, .clock = shared::Clock::kMonotonic};

// The calling thread, as one that has joined the session.
class Joined {
 public:
  explicit Joined(PreloadSession& session) : before_(own_thread()) {
    preload::ThreadState& thread = own_thread();
    thread = {};
    thread.session = session->id;
    preload::claim_ring(*session, thread);
  }
  ~Joined() { own_thread() = before_; }
  Joined(const Joined&) = delete;
  Joined& operator=(const Joined&) = delete;

 private:
  const preload::ThreadState before_;
};

std::vector<EventKind> kinds_in(SharedRegion& region, std::uint32_t ring) {
  std::vector<std::uint64_t> words;
  REQUIRE(take_words(region, ring, words));
  std::vector<EventKind> kinds;
  for (std::size_t i = 0; i < words.size(); i += shared::words_of(kinds.back())) {
    kinds.push_back(static_cast<EventKind>(words[i] >> shared::kKindShift));
    REQUIRE(shared::is_kind(kinds.back()));
  }
  return kinds;
}

void free_some(std::uint64_t count) {
  static char blocks[1024];
  for (std::uint64_t i = 0; i < count; ++i) preload::record_free(&blocks[i]);
}

TEST_CASE("frees in a row are one word each, but for one in sixteen words, which is timed") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  const Joined joined(session);
  free_some(60);
  const std::vector<EventKind> kinds = kinds_in(region, 1);
  REQUIRE(kinds.size() == 60);
  for (std::size_t i = 0; i < kinds.size(); ++i)
    CHECK(kinds[i] == (i % 15 == 0 ? EventKind::kFree : EventKind::kUntimedFree));
}

TEST_CASE("once frees are to be timed, all are") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  const Joined joined(session);
  region.header().frees_are_timed = 1;
  free_some(20);
  CHECK(kinds_in(region, 1) == std::vector<EventKind>(20, EventKind::kFree));
}

// In a signal handler, while another thread has the shared ring.
TEST_CASE("a free that cannot be written is counted, has frees timed, and is nothing to take back") {
  for (const bool is_realloc : {false, true}) {
    SharedRegion region(kExact);
    PreloadSession session(region);
    const Joined joined(session);
    own_thread().busy = true;
    session->shared_ring_locked = 1;
    static char block;
    if (is_realloc)
      CHECK_FALSE(preload::record_realloc_free(&block));
    else
      preload::record_free(&block);
    CHECK(region.header().lost_frees == 1);
    CHECK(region.header().frees_are_timed == 1);
    session->shared_ring_locked = 0;
    CHECK(preload::record_realloc_free(&block));
    CHECK(kinds_in(region, 0) == std::vector<EventKind>{EventKind::kReallocFree});
  }
}

void allocate_some(int count) {
  static char blocks[1024];
  // Stands for an exported function, of which the recorder wants the frame.
  for (int i = 0; i < count; ++i) preload::record_allocation(&blocks[i], 8, __builtin_frame_address(0));
}

constexpr std::uint32_t kRing = 1;  // of the first thread that joins

TEST_CASE("a ring that is the sole one has one more time stamp, and no more of allocations") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  const Joined joined(session);
  allocate_some(2);
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 1);
  allocate_some(2);
  CHECK(kinds_in(region, kRing) == std::vector<EventKind>(4, EventKind::kSmallAllocate));
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 1) | shared::kSoleWriterIs;
  free_some(1);
  allocate_some(3);
  using enum EventKind;
  const std::vector<EventKind> kinds = kinds_in(region, kRing);
  REQUIRE(kinds.size() == 4);
  CHECK(std::vector(kinds.begin() + 1, kinds.end()) == std::vector{kSmallAllocate, kUntimedAllocate, kUntimedAllocate});
  free_some(1);
  allocate_some(1);
  CHECK(kinds_in(region, kRing).back() == kUntimedAllocate);

  region.header().sole_writer = 0;
  allocate_some(2);
  CHECK(kinds_in(region, kRing) == std::vector{kSmallAllocate, kSmallAllocate});
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 2) | shared::kSoleWriterIs;
  allocate_some(2);
  CHECK(kinds_in(region, kRing) == std::vector{kSmallAllocate, kUntimedAllocate});
}

TEST_CASE("whose ring the sole one was before has to take a time stamp of its own") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 1) | shared::kSoleWriterIs;
  for (int i = 0; i < 2; ++i) {
    const Joined joined(session);
    allocate_some(2);
    CHECK(kinds_in(region, kRing) == std::vector{EventKind::kSmallAllocate, EventKind::kUntimedAllocate});
    preload::release_ring(own_thread());
  }
}

TEST_CASE("huge blocks are timed everywhere") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  const Joined joined(session);
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 1) | shared::kSoleWriterIs;
  allocate_some(2);
  static char block;
  preload::record_allocation(&block, shared::kSmallBytes, __builtin_frame_address(0));
  CHECK(kinds_in(region, kRing).back() == EventKind::kAllocate);
}

TEST_CASE("whoever writes of an address to another ring than the sole one takes the word back") {
  static char block;
  const std::uint32_t grace = shared::sole_writer_to_be(kRing + 1, 1);
  for (const std::uint32_t word : {grace, grace | shared::kSoleWriterIs}) {
    SharedRegion region(kExact);
    PreloadSession session(region);
    const Joined joined(session);
    const auto takes_it_back = [&](auto write) {
      region.header().sole_writer = word;
      write();
      return region.header().sole_writer.exchange(0) == 0;
    };
    for (int i = 0; i < 5; ++i) CHECK(takes_it_back([] { free_some(1); }));
    CHECK(takes_it_back([] { allocate_some(1); }));
    CHECK(takes_it_back([] { preload::record_realloc_free(&block); }));
    CHECK(takes_it_back([] { preload::record_realloc_failure(&block); }));
  }
}

// It may have interrupted the sole writer itself, whose ring is then not written to.
TEST_CASE("a free in a signal handler, on the shared ring, takes the word back too") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  const Joined joined(session);
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 1) | shared::kSoleWriterIs;
  allocate_some(2);
  own_thread().busy = true;
  free_some(1);
  own_thread().busy = false;
  CHECK(kinds_in(region, 0) == std::vector{EventKind::kFree});
  CHECK(region.header().sole_writer == 0);
  kinds_in(region, kRing);
  allocate_some(1);
  CHECK(kinds_in(region, kRing) == std::vector{EventKind::kSmallAllocate});
}

}  // namespace
}  // namespace leakwatch
