// SPDX-License-Identifier: Apache-2.0
//
// The merger against the publication rule of shared_memory.h. A generated history names, for each event, when it is
// stamped and when it is published; passes look at the rings at random moments and may see no event late that was
// published before the look. The order of each address's events must come out as it was, whatever the passes did.
#include "cli/drain/event_merger.h"

#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kEver = std::numeric_limits<std::uint64_t>::max();

struct Occurrence {
  std::size_t ring;
  std::uint64_t published;
  Event event;  // `size` numbers the events of one address from 0 on
};

// Rings are single-writer: stamp and publication of one event lie before those of the ring's next. Ring 0 is shared:
// there, events are published in any order. An address's next event is stamped after the last one was published.
std::vector<Occurrence> make_history(std::mt19937_64& random, std::size_t rings, std::size_t addresses,
                                     std::size_t events) {
  std::vector<std::uint64_t> ring_free_at(rings, 0), address_free_at(addresses, 0), numbers(addresses, 0);
  std::vector<Occurrence> history;
  for (std::size_t i = 0; i < events; ++i) {
    const std::size_t ring = random() % rings, address = random() % addresses;
    const std::uint64_t begin = std::max(ring == 0 ? 0 : ring_free_at[ring], address_free_at[address]);
    const std::uint64_t stamped = begin + 1 + random() % 4;
    const std::uint64_t published = stamped + random() % (random() % 8 == 0 ? 200 : 3);  // some are slow to publish
    ring_free_at[ring] = address_free_at[address] = published;
    history.push_back({ring, published, {address + 1, stamped, numbers[address]++, 0, shared::EventKind::kAllocate}});
  }
  // As they come to stand in the rings.
  std::stable_sort(history.begin(), history.end(),
                   [](const Occurrence& a, const Occurrence& b) { return a.published < b.published; });
  return history;
}

// Delivers the history in passes, each of which notes its horizon first and then looks at one ring after the other,
// while time goes on between the looks.
class Passes {
 public:
  Passes(const std::vector<Occurrence>& history, std::size_t rings, std::mt19937_64& random)
      : by_ring_(rings), next_(rings), random_(random) {
    for (const Occurrence& o : history) by_ring_[o.ring].push_back(o);
  }

  std::uint64_t one(EventMerger& merger) {
    time_ += random_() % 150;
    const std::uint64_t horizon = time_;
    for (std::size_t ring = 0; ring < by_ring_.size(); ++ring) {
      // An event published at this very moment is seen or not; one that was published before is seen.
      const auto& mine = by_ring_[ring];
      std::size_t& next = next_[ring];
      while (next < mine.size() && mine[next].published <= time_) merger.ring(ring).push_back(mine[next++].event);
      time_ += random_() % 20;
    }
    merger.sort_ring(0);
    return horizon;
  }

  bool all_seen() const {
    for (std::size_t ring = 0; ring < by_ring_.size(); ++ring) {
      if (next_[ring] < by_ring_[ring].size()) return false;
    }
    return true;
  }

 private:
  std::vector<std::vector<Occurrence>> by_ring_;
  std::vector<std::size_t> next_;
  std::mt19937_64& random_;
  std::uint64_t time_ = 0;
};

std::vector<Event> merge(EventMerger& merger, std::uint64_t horizon) {
  std::vector<Event> events;
  merger.merge_until(horizon, [&](std::size_t, const Event& event) { events.push_back(event); });
  return events;
}

Event at(std::uint64_t time, std::uint64_t address = 1) {
  return {address, time, 0, 0, shared::EventKind::kFree};
}

std::vector<std::uint64_t> times(const std::vector<Event>& events) {
  std::vector<std::uint64_t> result;
  for (const Event& event : events) result.push_back(event.time);
  return result;
}

TEST_CASE("the events of every address are applied in their true order, whatever the passes saw") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const std::size_t rings = 1 + random() % 12, addresses = 1 + random() % 40;
    const std::vector<Occurrence> history = make_history(random, rings, addresses, 1000);
    Passes passes(history, rings, random);
    EventMerger merger;
    std::vector<std::uint64_t> seen(addresses, 0);
    std::size_t applied = 0, wrong = 0;
    const auto apply = [&](std::size_t, const Event& event) {
      wrong += event.size != seen[event.address - 1]++;
      ++applied;
    };
    while (!passes.all_seen()) merger.merge_until(passes.one(merger), apply);
    merger.merge_until(kEver, apply);
    INFO("seed " << seed);
    REQUIRE(wrong == 0);
    REQUIRE(applied == history.size());
    REQUIRE(merger.waiting() == 0);
  }
}

// The control of the test above: the model does produce histories that arrival order would get wrong.
TEST_CASE("the histories of the model are out of order when they arrive") {
  std::mt19937_64 random(1);
  const std::vector<Occurrence> history = make_history(random, 8, 10, 1000);
  Passes passes(history, 8, random);
  std::vector<std::uint64_t> seen(10, 0);
  std::size_t wrong = 0;
  while (!passes.all_seen()) {
    EventMerger arrivals;
    passes.one(arrivals);
    for (std::size_t ring = 0; ring < 8; ++ring) {
      for (const Event& event : arrivals.ring(ring)) wrong += event.size != seen[event.address - 1]++;
    }
  }
  CHECK(wrong > 0);
}

TEST_CASE("rings are merged by time and told apart") {
  EventMerger merger;
  merger.ring(0) = {at(2), at(6)};
  merger.ring(2) = {at(1), at(3), at(7)};
  merger.ring(1) = {at(4), at(5)};
  std::vector<std::pair<std::size_t, std::uint64_t>> order;
  merger.merge_until(kEver, [&](std::size_t ring, const Event& event) { order.emplace_back(ring, event.time); });
  const std::vector<std::pair<std::size_t, std::uint64_t>> expected = {{2, 1}, {0, 2}, {2, 3}, {1, 4},
                                                                       {1, 5}, {0, 6}, {2, 7}};
  CHECK(order == expected);
}

TEST_CASE("events after the horizon wait for a later pass") {
  EventMerger merger;
  merger.ring(0) = {at(1), at(5)};
  merger.ring(1) = {at(3), at(9)};
  CHECK(times(merge(merger, 5)) == std::vector<std::uint64_t>{1, 3, 5});
  CHECK(merger.waiting() == 1);
  merger.ring(0).push_back(at(7));
  CHECK(times(merge(merger, 8)) == std::vector<std::uint64_t>{7});
  CHECK(times(merge(merger, kEver)) == std::vector<std::uint64_t>{9});
}

TEST_CASE("a stamp that is much too old does not take the order from the others") {
  constexpr std::uint64_t kNow = std::uint64_t{1} << 60;
  EventMerger merger;
  merger.ring(0) = {at(0)};
  merger.ring(1) = {at(kNow + 2), at(kNow + 4)};
  merger.ring(2) = {at(kNow + 1), at(kNow + 3)};
  const std::vector<std::uint64_t> expected = {0, kNow + 1, kNow + 2, kNow + 3, kNow + 4};
  CHECK(times(merge(merger, kNow + 10)) == expected);
}

TEST_CASE("events of one ring keep their order when their stamps are equal") {
  EventMerger merger;
  merger.ring(0) = {at(1, 10)};
  merger.ring(1) = {at(1, 20), at(1, 21), at(2, 22)};
  merger.ring(2) = {at(1, 30)};
  std::vector<std::uint64_t> of_ring_1;
  merger.merge_until(kEver, [&](std::size_t ring, const Event& event) {
    if (ring == 1) of_ring_1.push_back(event.address);
  });
  CHECK(of_ring_1 == std::vector<std::uint64_t>{20, 21, 22});
}

TEST_CASE("the shared ring is sorted by stamp and equal stamps stay as they were") {
  EventMerger merger;
  merger.ring(0) = {at(5, 1), at(2, 2), at(5, 3), at(1, 4), at(2, 5)};
  merger.sort_ring(0);
  merger.sort_ring(7);  // of a ring that nobody has seen
  std::vector<std::uint64_t> addresses;
  for (const Event& event : merger.ring(0)) addresses.push_back(event.address);
  CHECK(addresses == std::vector<std::uint64_t>{4, 2, 5, 1, 3});
}

TEST_CASE("a merger without events applies none") {
  EventMerger merger;
  CHECK(merge(merger, kEver).empty());
  CHECK(merger.waiting() == 0);
}

}  // namespace
}  // namespace leakwatch
