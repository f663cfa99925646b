// SPDX-License-Identifier: Apache-2.0
//
// What becomes of one call in exact mode: the words that it takes, when they are timed, what is said of an event that
// could not be written, and how the sole writer and others go by Header::sole_writer.
#include "preload/recorder.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/drain/drain.h"
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

struct Recording {
  SharedRegion region{kExact};
  PreloadSession session{region};
  const Joined joined{session};
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

TEST_CASE_METHOD(Recording, "frees in a row are one word each, but for one in sixteen words, which is timed") {
  free_some(60);
  const std::vector<EventKind> kinds = kinds_in(region, 1);
  REQUIRE(kinds.size() == 60);
  for (std::size_t i = 0; i < kinds.size(); ++i)
    CHECK(kinds[i] == (i % 15 == 0 ? EventKind::kFree : EventKind::kUntimedFree));
}

TEST_CASE_METHOD(Recording, "once frees are to be timed, all are") {
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
constexpr std::uint32_t kIsSole = shared::sole_writer_to_be(kRing, 1) | shared::kSoleWriterIs;

TEST_CASE_METHOD(Recording, "a ring that is the sole one has one more time stamp, and no more of allocations") {
  allocate_some(2);
  region.header().sole_writer = shared::sole_writer_to_be(kRing, 1);
  allocate_some(2);
  CHECK(kinds_in(region, kRing) == std::vector<EventKind>(4, EventKind::kSmallAllocate));
  region.header().sole_writer = kIsSole;
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
  region.header().sole_writer = kIsSole;
  for (int i = 0; i < 2; ++i) {
    const Joined joined(session);
    allocate_some(2);
    CHECK(kinds_in(region, kRing) == std::vector{EventKind::kSmallAllocate, EventKind::kUntimedAllocate});
    preload::release_ring(own_thread());
  }
}

TEST_CASE_METHOD(Recording, "huge blocks are timed everywhere") {
  region.header().sole_writer = kIsSole;
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

TEST_CASE_METHOD(Recording, "a thread without a ring takes the word back too") {
  shared::Ring* const ring = own_thread().ring;
  own_thread().ring = nullptr;
  region.header().sole_writer = kIsSole;
  free_some(1);
  own_thread().ring = ring;
  CHECK(kinds_in(region, 0) == std::vector{EventKind::kFree});
  CHECK(region.header().sole_writer == 0);
}

TEST_CASE_METHOD(Recording, "what was said and taken back is not believed when it stands there again") {
  region.header().sole_writer = kIsSole;
  allocate_some(1);
  region.header().sole_writer = 0;
  free_some(1);
  region.header().sole_writer = kIsSole;
  kinds_in(region, kRing);
  allocate_some(1);
  CHECK(kinds_in(region, kRing) == std::vector{EventKind::kSmallAllocate});
}

void fill_ring(PreloadSession& session) {
  shared::Ring& ring = *own_thread().ring;
  ring.write_position = ring.read_position + session->ring_words;
  own_thread().quiet_until = ring.write_position;
}

TEST_CASE_METHOD(Recording, "an allocation that is given up is no time stamp, and is counted, timed or not") {
  region.header().heartbeat_ns = ~std::uint64_t{0};  // the reader is there
  region.header().sole_writer = kIsSole;
  for (const bool is_sole : {false, true}) {
    fill_ring(session);
    allocate_some(1);
    CHECK(region.header().lost_allocations == (is_sole ? 2 : 1));
    CHECK(region.header().frees_are_timed == 1);
    std::vector<std::uint64_t> words;
    take_words(region, kRing, words);
    if (is_sole) break;
    allocate_some(2);
    CHECK(kinds_in(region, kRing) == std::vector{EventKind::kSmallAllocate, EventKind::kUntimedAllocate});
  }
}

// The word is written while the thread waits for room.
template <class Write>
std::uint32_t word_after(SharedRegion& region, PreloadSession& session, std::uint32_t word, Write write) {
  fill_ring(session);
  shared::Ring& ring = *own_thread().ring;
  std::thread reader([&] {
    while (region.header().writers_waiting == 0) std::this_thread::yield();
    region.header().sole_writer = word;
    ring.read_position = ring.write_position.load();
    region.header().progress.fetch_add(1);
  });
  write();
  reader.join();
  return region.header().sole_writer;
}

TEST_CASE_METHOD(Recording, "the word is looked at when the event has been written") {
  region.header().heartbeat_ns = ~std::uint64_t{0};
  const std::uint32_t others = shared::sole_writer_to_be(kRing + 1, 2);
  CHECK(word_after(region, session, others, [] { free_some(1); }) == 0);
  CHECK(word_after(region, session, others, [] { allocate_some(1); }) == 0);
  region.header().sole_writer = kIsSole;
  allocate_some(1);
  CHECK(word_after(region, session, others, [] { allocate_some(1); }) == 0);  // untimed
  // Said after the time stamp: one more is to be written.
  CHECK(word_after(region, session, kIsSole, [] { allocate_some(1); }) == kIsSole);
  CHECK(own_thread().ring->sole_writer == 0);
  allocate_some(1);
  CHECK(own_thread().ring->sole_writer == kIsSole);
}

// A few places, where whoever comes puts a block, or frees the one that is there. No other block is at its address in
// between, as with a real allocator.
class Places {
 public:
  void visit(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    bool& is_taken = is_taken_[number % kPlaces];
    char* block = &blocks_[number % kPlaces];
    if (is_taken)
      preload::record_free(block);
    else
      preload::record_allocation(block, 8, __builtin_frame_address(0));
    is_taken = !is_taken;
    allocations_ += is_taken;
  }
  HeapCounters truth() const {
    const auto live = std::count(std::begin(is_taken_), std::end(is_taken_), true);
    return {allocations_, 8 * allocations_, live, 8 * live};
  }

 private:
  static constexpr std::size_t kPlaces = 3;
  std::mutex mutex_;
  char blocks_[kPlaces]{};
  bool is_taken_[kPlaces]{};
  std::int64_t allocations_ = 0;
};

TEST_CASE("threads are counted exactly of which one is alone for a while, until the other breaks in") {
  SharedRegion region(kExact);
  PreloadSession session(region);
  Drain drain(region);
  Places places;
  constexpr int kTimes = 40;
  std::atomic<bool> is_over{false};
  std::thread guest([&] {
    const Joined joined(session);
    for (int i = 0; i < kTimes; ++i) {
      for (int visits = i % 5; visits >= 0; --visits) places.visit(static_cast<std::uint64_t>(i + visits));
      std::this_thread::sleep_for(std::chrono::milliseconds(i % 3 * 15));
    }
    preload::release_ring(own_thread());
    is_over = true;
  });
  int times_alone = 0;
  {
    const Joined joined(session);
    for (std::uint64_t i = 0; !is_over; ++i) {
      const std::uint32_t before = own_thread().ring->sole_writer;
      places.visit(i * 0x9e3779b97f4a7c15 >> 40);
      times_alone += before == 0 && own_thread().ring->sole_writer != 0;
    }
    preload::release_ring(own_thread());
  }
  guest.join();
  CHECK(times_alone > 0);
  const Drain::Summary summary = drain.summary(0);
  CHECK(summary.heap == places.truth());
  CHECK(summary.unknown_frees == 0);
  CHECK(summary.implied_frees == 0);
  CHECK(region.header().frees_are_timed == 0);
}

// It may have interrupted the sole writer itself, whose ring is then not written to.
TEST_CASE_METHOD(Recording, "a free in a signal handler, on the shared ring, takes the word back too") {
  region.header().sole_writer = kIsSole;
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
