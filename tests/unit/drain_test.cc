// SPDX-License-Identifier: Apache-2.0
//
// The drain thread against writers of the tests' own, who know to the block what they published: one that scribbles
// literal words, and many that go through the preload's own ring writer, under pressure, and hand blocks to each other.
#include "cli/drain/drain.h"

#include <chrono>
#include <mutex>
#include <random>
#include <thread>

#include "preload/clock.h"
#include "preload/ring_writer.h"
#include "tests/unit/catch.h"
#include "tests/unit/preload_session.h"
#include "tests/unit/region_writer.h"

namespace leakwatch {
namespace {

using shared::EventKind;

RegionSettings exact() {
  return {.sample_interval = 1, .max_depth = 16, .seed = 1, .clock = best_clock()};
}

std::vector<std::uint64_t> allocation(std::uint64_t address, std::uint64_t size, std::uint64_t time) {
  return {shared::event_word(EventKind::kAllocate, address), time, size, 1};
}
std::vector<std::uint64_t> release(std::uint64_t address, std::uint64_t time) {
  return {shared::event_word(EventKind::kFree, address), time};
}

HeapCounters total(const Drain::State& state) {
  HeapCounters sum;
  for (const HeapState::Site& site : state.sites) sum += site.counters;
  return sum;
}

TEST_CASE("a state holds everything that was published before it was asked for") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  std::int64_t wrong = 0;
  for (std::int64_t i = 1; i <= 500; ++i) {
    const auto ring = static_cast<std::uint32_t>(i % 5);
    writer.write(ring, allocation(static_cast<std::uint64_t>(i) * 16, 10, now(region.settings().clock)));
    const HeapCounters counters = total(drain.state());
    wrong += counters != HeapCounters{i, i * 10, i, i * 10};
  }
  CHECK(wrong == 0);
}

TEST_CASE("a summary has the sums of the state, and the stacks that are new") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  const auto allocate = [&](std::uint64_t number, std::uint64_t size) {
    writer.write(1, allocation(number * 16, size, now(region.settings().clock)));
  };
  allocate(1, 10);
  allocate(2, 1000);
  const Drain::Summary first = drain.summary(0);
  CHECK(first.heap == HeapCounters{2, 1010, 2, 1010});
  CHECK(first.sites == 2);
  CHECK(first.new_stacks.size() == 2);
  allocate(3, 10);
  allocate(4, 100'000);
  const Drain::Summary second = drain.summary(first.sites);
  CHECK(second.heap == total(drain.state()));
  CHECK(second.sites == 3);
  CHECK(second.new_stacks == std::vector{drain.state().sites[2].stack});
  CHECK(second.events == 4);
  drain.finish();
  CHECK(drain.summary(1'000'000).heap == second.heap);
}

TEST_CASE("a ring that is full and goes round many times loses nothing") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  constexpr std::int64_t kBlocks = 100'000;
  const std::uint64_t room = region.header().ring_words;
  writer.write(1, {});
  std::int64_t bytes = 0;
  // Three words too many for the ring's size to be a multiple: events are cut at its end in every way.
  for (std::int64_t i = 1; i <= kBlocks; ++i) {
    const auto address = static_cast<std::uint64_t>(i % 100 + 1) * 16;
    std::vector<std::uint64_t> words =
        allocation(address, static_cast<std::uint64_t>(i % 50), now(region.settings().clock));
    bytes += i % 50;
    const std::vector<std::uint64_t> free_words = release(address, now(region.settings().clock));
    words.insert(words.end(), free_words.begin(), free_words.end());
    while (region.ring(1).write_position + words.size() - region.ring(1).read_position > room)
      std::this_thread::yield();
    writer.write(1, words);
  }
  const Drain::State state = drain.state();
  CHECK(region.ring(1).write_position > 10 * room);
  CHECK(total(state) == HeapCounters{kBlocks, bytes, 0, 0});
  CHECK(state.events == 2 * kBlocks);
  CHECK(state.bad_records + state.unknown_frees + state.implied_frees == 0);
}

TEST_CASE("an event that is younger than the question waits, and the end takes it") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  const std::uint64_t future = now(region.settings().clock) + (std::uint64_t{1} << 60);
  writer.write(1, allocation(16, 10, future));
  CHECK(total(drain.state()) == HeapCounters{});
  drain.finish();
  CHECK(total(drain.state()) == HeapCounters{1, 10, 1, 10});
}

TEST_CASE("the end takes what was published last, and may be asked for twice") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  for (std::uint64_t i = 1; i <= 1000; ++i) writer.write(2, allocation(i * 16, 1, now(region.settings().clock)));
  drain.finish();
  CHECK(total(drain.state()) == HeapCounters{1000, 1000, 1000, 1000});
  writer.write(2, release(16, now(region.settings().clock)));  // nobody listens any more
  drain.finish();
  CHECK(total(drain.state()).inuse_objects == 1000);
}

TEST_CASE("a free that is drained before its allocation still meets it") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  const std::uint64_t time = now(region.settings().clock);
  writer.write(1, release(16, time + 1));
  writer.write(2, allocation(16, 10, time));
  Drain drain(region);
  drain.finish();
  CHECK(total(drain.state()) == HeapCounters{1, 10, 0, 0});
  CHECK(drain.state().unknown_frees == 0);
}

// Its writers stamp before they queue up: a late one may be older than what stands in front of it.
TEST_CASE("the shared ring's events need not stand in order") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  const std::uint64_t time = now(region.settings().clock);
  writer.write(0, allocation(32, 10, time + 9));
  writer.write(0, allocation(16, 10, time + 3));
  writer.write(1, release(16, time + 5));
  Drain drain(region);
  drain.finish();
  CHECK(total(drain.state()) == HeapCounters{2, 20, 1, 10});
  CHECK(drain.state().unknown_frees == 0);
}

TEST_CASE("words and positions that make no sense are counted, and the other rings go on") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  writer.write(1, {std::uint64_t{77} << 56, 1});
  drain.state();
  writer.write(2, {shared::event_word(EventKind::kAllocate, 16), 1, 10});  // cut off
  drain.state();
  region.ring(3).write_position = std::uint64_t{1} << 40;
  writer.write(3, {});
  writer.write(4, allocation(16, 10, now(region.settings().clock)));
  const Drain::State state = drain.state();
  CHECK(state.bad_records == 3);
  CHECK(total(state) == HeapCounters{1, 10, 1, 10});
}

TEST_CASE("the drain shows that it lives") {
  SharedRegion region(exact());
  RegionWriter writer(region);
  Drain drain(region);
  region.header().heartbeat_ns = 0;
  const std::uint32_t progress = region.header().progress;
  std::this_thread::sleep_for(std::chrono::nanoseconds(2 * shared::kHeartbeatNs));
  CHECK(monotonic_ns() - region.header().heartbeat_ns < 2 * shared::kHeartbeatNs);
  writer.write(1, allocation(16, 10, now(region.settings().clock)));
  drain.state();
  CHECK(region.header().progress > progress);
}

// Threads that take addresses from one pool, as an allocator's: an address is published as free before it goes back,
// and stamped as allocated after it was taken. Any thread may free any block; most frees are not timed. One thread has
// no ring of its own and uses the shared one.
class Service {
 public:
  Service(preload::Session& session, std::size_t addresses) : session_(session) {
    for (std::uint64_t i = 1; i <= addresses; ++i) pool_.push_back(i * 16);
  }

  void work(std::uint64_t seed, int steps, bool has_ring) {
    preload::ThreadState thread{};
    if (has_ring) claim_ring(session_, thread);
    std::mt19937_64 random(seed);
    for (int i = 0; i < steps; ++i) {
      if (random() % 2 == 0)
        allocate(thread, random() % 1000);
      else
        release_one(thread, random() % 16 == 0);
    }
    while (release_one(thread, false)) continue;
    release_ring(thread);
  }

  std::atomic<std::int64_t> objects{0}, bytes{0}, lost{0};

 private:
  // 0 when there is none.
  std::uint64_t take(std::vector<std::uint64_t>& from) {
    const std::lock_guard lock(mutex_);
    if (from.empty()) return 0;
    const std::uint64_t address = from.back();
    from.pop_back();
    return address;
  }
  void give(std::vector<std::uint64_t>& to, std::uint64_t address) {
    const std::lock_guard lock(mutex_);
    to.push_back(address);
  }

  void allocate(preload::ThreadState& thread, std::uint64_t size) {
    const std::uint64_t address = take(pool_);
    if (address == 0) return;
    const std::uint64_t words[] = {shared::event_word(EventKind::kAllocate, address),
                                   preload::time_stamp(session_.clock), size, 1};
    lost += !write_event(session_, thread, words, 60'000'000'000);
    objects += 1;
    bytes += static_cast<std::int64_t>(size);
    give(live_, address);
  }

  // False when there is none.
  bool release_one(preload::ThreadState& thread, bool is_timed) {
    const std::uint64_t address = take(live_);
    if (address == 0) return false;
    const std::uint64_t untimed[] = {shared::event_word(EventKind::kUntimedFree, address)};
    const std::uint64_t timed[] = {shared::event_word(EventKind::kFree, address), preload::time_stamp(session_.clock)};
    lost += is_timed || thread.ring == nullptr ? !write_event(session_, thread, timed, 60'000'000'000)
                                               : !write_event(session_, thread, untimed, 60'000'000'000);
    give(pool_, address);
    return true;
  }

  preload::Session& session_;
  std::mutex mutex_;
  std::vector<std::uint64_t> pool_, live_;
};

TEST_CASE("threads that share addresses through the real ring writer are counted exactly") {
  SharedRegion region(exact());
  PreloadSession session(region);
  Drain drain(region);
  Service service(*session, 24);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) threads.emplace_back([&, t] { service.work(t, 30'000, t != 0); });
  for (std::thread& thread : threads) thread.join();
  const Drain::State state = drain.state();
  REQUIRE(service.lost == 0);
  CHECK(total(state) == HeapCounters{service.objects, service.bytes, 0, 0});
  CHECK(state.unknown_frees == 0);
  CHECK(state.implied_frees == 0);
  CHECK(state.bad_records == 0);
  CHECK(region.header().frees_are_timed == 0);
}

}  // namespace
}  // namespace leakwatch
