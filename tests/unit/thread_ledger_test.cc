// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a thread, event by event: every order in which a thread can end and be released, handles that are
// given out again, and events that make no sense.
#include "cli/state/thread_ledger.h"

#include <deque>
#include <limits>
#include <random>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using shared::EventKind;
using shared::ThreadRelease;

constexpr std::uint64_t kHandle = 0x7f0000001000;
constexpr std::uint64_t kRoutine = 0x401000;
constexpr std::uint64_t kBytes = 8 << 20;
constexpr std::uint32_t kStack = 40;
constexpr std::uint32_t kGuard = 4096;

Event create(std::uint64_t token, std::uint64_t time, std::uint32_t stack = kStack) {
  return {token, time, kRoutine, stack, EventKind::kThreadCreate};
}
Event attributes(std::uint64_t token, std::uint64_t bytes = kBytes, bool detached = false) {
  return {token, 0, bytes | (detached ? shared::kDetachedThread : 0), kGuard, EventKind::kThreadAttributes};
}
Event not_created(std::uint64_t token) {
  return {token, 0, 0, 0, EventKind::kThreadNotCreated};
}
Event start(std::uint64_t token, std::uint64_t handle = kHandle, std::uint32_t tid = 100) {
  return {token, 0, handle, tid, EventKind::kThreadStart};
}
Event end(std::uint64_t token) {
  return {token, 0, 0, 0, EventKind::kThreadEnd};
}
Event release(ThreadRelease how, std::uint64_t began, std::uint64_t handle = kHandle) {
  return {handle, 0, began, static_cast<std::uint32_t>(how), EventKind::kThreadRelease};
}
Event join(std::uint64_t began, std::uint64_t handle = kHandle) {
  return release(ThreadRelease::kJoined, began, handle);
}
Event detach(std::uint64_t began, std::uint64_t handle = kHandle) {
  return release(ThreadRelease::kDetached, began, handle);
}

ThreadLedger after(const std::vector<Event>& events) {
  ThreadLedger ledger;
  for (const Event& event : events) ledger.apply(event);
  return ledger;
}
ThreadCounters counters(const std::vector<Event>& events) {
  const auto creators = after(events).creators();
  return creators.contains(kStack) ? creators.at(kStack) : ThreadCounters{};
}

TEST_CASE("each way through a thread's life is counted") {
  const Event made = create(1, 10), told = attributes(1), born = start(1);
  const Event born_detached = attributes(1, kBytes, true);
  struct Row {
    const char* what;
    std::vector<Event> events;
    ThreadCounters wanted;
  };
  const std::vector<Row> table = {
      {"created, not yet running", {made}, {1, 1, 0, 0}},
      {"with its attributes", {made, told}, {1, 1, 0, kBytes}},
      {"running", {made, told, born}, {1, 1, 0, kBytes}},
      {"ended, and nobody joined", {made, told, born, end(1)}, {1, 0, 1, kBytes}},
      {"ended and joined", {made, told, born, end(1), join(20)}, {1, 0, 0, 0}},
      {"joined, its end is told later", {made, told, born, join(20), end(1)}, {1, 0, 0, 0}},
      {"detached, running", {made, told, born, detach(20)}, {1, 1, 0, kBytes}},
      {"detached, then ended", {made, told, born, detach(20), end(1)}, {1, 0, 0, 0}},
      {"detached before it ran", {made, told, detach(20), born, end(1)}, {1, 0, 0, 0}},
      {"an old detach of its handle", {made, told, detach(5), born, end(1)}, {1, 0, 1, kBytes}},
      {"ended, then detached", {made, told, born, end(1), detach(20)}, {1, 0, 0, 0}},
      {"born detached, running", {made, born_detached, born}, {1, 1, 0, kBytes}},
      {"born detached, ended", {made, born_detached, born, end(1)}, {1, 0, 0, 0}},
      {"not created after all", {made, told, not_created(1)}, {0, 0, 0, 0}},
      {"ended before it said that it runs", {made, told, end(1)}, {1, 0, 1, kBytes}},
  };
  for (const Row& row : table) {
    INFO(row.what);
    CHECK(counters(row.events) == row.wanted);
  }
}

TEST_CASE("a record holds what the events told") {
  const auto threads = after({create(7, 10), attributes(7), start(7), detach(20)}).threads();
  REQUIRE(threads.size() == 1);
  CHECK(threads[0] == ThreadRecord{7, 100, kHandle, kStack, kRoutine, kBytes, kGuard, 10, true, false});
}

TEST_CASE("threads are listed in the order of their creation until they are gone") {
  const auto threads = after({create(1, 10), create(2, 11), create(3, 12), start(2, kHandle), end(2), join(20),
                              start(3, 2 * kHandle, 3)})
                           .threads();
  REQUIRE(threads.size() == 2);
  CHECK(threads[0].token == 1);
  CHECK(threads[1].token == 3);
}

TEST_CASE("a join means the thread that had the handle when the call began") {
  // The joiner of the first is slow to tell; by then the second has the handle.
  const std::vector<Event> reused = {create(1, 10), start(1), end(1), create(2, 30, 50), start(2, kHandle, 101)};
  std::vector<Event> late = reused;
  late.push_back(join(20));
  const auto creators = after(late).creators();
  CHECK(creators.at(kStack) == ThreadCounters{1, 0, 0, 0});
  CHECK(creators.at(50) == ThreadCounters{1, 1, 0, 0});
  late.push_back(join(40));
  CHECK(after(late).creators().at(50) == ThreadCounters{1, 0, 0, 0});
  CHECK(after(late).threads().empty());
}

TEST_CASE("a handle that is given out again says that its ended owner is gone, but not a running one") {
  CHECK(counters({create(1, 10), start(1), end(1), create(2, 30), start(2)}) == ThreadCounters{2, 1, 0, 0});
  // The end of the first is in another ring and not yet read.
  const std::vector<Event> both = {create(1, 10), start(1), create(2, 30), start(2)};
  CHECK(counters(both) == ThreadCounters{2, 2, 0, 0});
  std::vector<Event> joined = both;
  joined.push_back(join(20));
  const auto threads = after(joined).threads();
  REQUIRE(threads.size() == 1);
  CHECK(threads[0].token == 2);
}

TEST_CASE("a join that began before the thread was created, or of a strange handle, releases nobody") {
  const std::vector<Event> unjoined = {create(1, 10), attributes(1), start(1), end(1)};
  for (const Event& stray : {join(10), join(5), join(0), join(20, kHandle + 1), detach(5), detach(20, 0)}) {
    std::vector<Event> events = unjoined;
    events.push_back(stray);
    CHECK(counters(events) == ThreadCounters{1, 0, 1, kBytes});
  }
}

TEST_CASE("what is told twice counts once") {
  const std::vector<Event> events = {create(1, 10), attributes(1), start(1), end(1), join(20)};
  for (std::size_t repeated = 0; repeated < events.size(); ++repeated) {
    std::vector<Event> stutter = events;
    stutter.insert(stutter.begin() + static_cast<std::ptrdiff_t>(repeated), events[repeated]);
    INFO(repeated);
    CHECK(counters(stutter) == ThreadCounters{1, 0, 0, 0});
  }
}

TEST_CASE("a thread that runs cannot have failed to be created") {
  CHECK(counters({create(1, 10), start(1), not_created(1)}) == ThreadCounters{1, 1, 0, 0});
}

TEST_CASE("events of strange tokens and other kinds leave no trace") {
  for (const Event& event : {attributes(9), not_created(9), start(9), end(9), join(9), detach(9), Event{}}) {
    const ThreadLedger ledger = after({event});
    CHECK(ledger.creators().empty());
    CHECK(ledger.threads().empty());
  }
}

TEST_CASE("a hundred thousand threads that are gone leave one line of counters") {
  ThreadLedger ledger;
  for (std::uint64_t token = 1; token <= 100'000; ++token) {
    for (const Event& event : {create(token, token), attributes(token), start(token), end(token), join(token + 1)})
      ledger.apply(event);
  }
  CHECK(ledger.threads().empty());
  CHECK(ledger.creators().at(kStack) == ThreadCounters{100'000, 0, 0, 0});
}

TEST_CASE("a thread that is said to have ended without telling counts as if it had told") {
  for (const bool is_detached : {false, true}) {
    std::vector<Event> events = {create(1, 10), attributes(1, kBytes, is_detached), start(1)};
    ThreadLedger told = after(events), found_out = after(events);
    told.apply(end(1));
    found_out.end_untold(1);
    CHECK(found_out.threads() == told.threads());
    CHECK(found_out.creators() == told.creators());
    found_out.apply(end(1));  // it had told after all
    CHECK(found_out.creators() == told.creators());
    found_out.apply(join(20));
    CHECK(found_out.creators().at(kStack) == ThreadCounters{1, 0, 0, 0});
  }
}

TEST_CASE("the numbers of threads that are gone are remembered for a while") {
  CHECK(after({create(1, 10), start(1), end(1)}).lately_gone().empty());  // still to be joined
  CHECK(after({create(1, 10), not_created(1)}).lately_gone().empty());    // had no number
  const auto gone = after({create(1, 10), start(1, kHandle, 7), end(1), join(20), create(2, 11), attributes(2, 0, true),
                           start(2, 2 * kHandle, 8), end(2)})
                        .lately_gone();
  CHECK(gone == std::deque<std::uint32_t>{7, 8});
  ThreadLedger ledger;
  const auto most = static_cast<std::uint32_t>(ThreadLedger::kMostLatelyGone);
  for (std::uint32_t tid = 1; tid <= most + 5; ++tid) {
    for (const Event& event : {create(tid, tid), start(tid, kHandle, tid), end(tid), join(tid + 1)})
      ledger.apply(event);
  }
  CHECK(ledger.lately_gone().size() == most);
  CHECK(ledger.lately_gone().front() == 6);
}

TEST_CASE("running threads that the kernel does not list have ended, and so has who lost its number to a younger one") {
  const auto records = after({create(1, 10), start(1, 1, 100), create(2, 11), start(2, 2, 101), create(3, 12),
                              start(3, 3, 102), end(3), create(4, 13), create(5, 14), start(5, 5, 100)})
                           .threads();
  using Tokens = std::vector<std::uint64_t>;
  CHECK(running_unlisted(records, {100, 101}) == Tokens{1});
  CHECK(running_unlisted(records, {100}) == Tokens{2, 1});
  CHECK(running_unlisted(records, {}) == Tokens{5, 2, 1});  // neither the ended one nor the one without a number
}

TEST_CASE("absurd sizes of stacks are bounded, and go as they came") {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() & ~shared::kDetachedThread;
  const ThreadCounters there = counters({create(1, 10), attributes(1, most), create(2, 11), attributes(2, most)});
  CHECK(there.stack_bytes > 0);
  CHECK(counters({create(1, 10), attributes(1, most), not_created(1)}) == ThreadCounters{});
}

TEST_CASE("a start without a thread's number is none") {
  const Event nobody = start(1, kHandle, 0);
  const ThreadLedger ledger = after({create(1, 10), nobody, end(1), nobody, nobody});
  REQUIRE(ledger.threads().size() == 1);
  CHECK(ledger.threads()[0].handle == 0);
}

TEST_CASE("random events, as from overwritten memory, never make a counter negative") {
  std::mt19937_64 random(4711);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same in every run
  const auto below = [&random](std::uint64_t limit) { return random() % limit; };
  using enum EventKind;
  constexpr EventKind kKinds[] = {kFree,        kThreadCreate, kThreadAttributes, kThreadNotCreated,
                                  kThreadStart, kThreadEnd,    kThreadRelease,    EventKind{0}};
  ThreadLedger ledger;
  for (int i = 0; i < 200'000; ++i) {
    const EventKind kind = kKinds[below(std::size(kKinds))];
    ledger.apply({below(6), below(50), below(6), static_cast<std::uint32_t>(below(4)), kind});
    if (i % 100 != 0) continue;
    std::map<std::uint32_t, ThreadCounters> recounted;
    for (const ThreadRecord& thread : ledger.threads()) {
      ThreadCounters& sum = recounted[thread.stack];
      ++(thread.ended ? sum.unjoined : sum.running);
      sum.stack_bytes += static_cast<std::int64_t>(thread.stack_bytes);
    }
    for (const auto& [stack, counted] : ledger.creators()) {
      REQUIRE(counted.created >= counted.running + counted.unjoined);
      recounted[stack].created = counted.created;
      REQUIRE(counted == recounted[stack]);
    }
  }
}

}  // namespace
}  // namespace leakwatch
