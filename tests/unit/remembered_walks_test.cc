// SPDX-License-Identifier: Apache-2.0
//
// Remembered walks against true ones: a walk that is found must be the stack that a true walk finds, whatever the
// frames are like, and a word that differs must keep it from being found.
#include "preload/remembered_walks.h"

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/preload_session.h"
#include "tests/unit/unwind_fixtures.h"

namespace leakwatch {
namespace {

using namespace preload;

constexpr std::uint32_t kDepth = 64;

// Takes stacks as the hooks do, and each one a second time by a true walk.
struct Taker {
  explicit Taker(std::uint32_t depth = kDepth)
      : region(RegionSettings{.sample_interval = 1, .max_depth = depth}),
        session(region),
        room(session->scratch_words()) {
    thread.mapped_from = ThreadState::kNothingMapped;
  }
  SharedRegion region;
  PreloadSession session;
  std::vector<std::uint64_t> room;
  ThreadState thread{};
  int walks = 0, found = 0, disagreements = 0;
};

void take(void* argument) {
  Taker& taker = *static_cast<Taker*>(argument);
  Session& session = *taker.session;
  const CallSite site = CallSite::of(__builtin_frame_address(0));
  const StackExtent extent = session.stack_around(site.sp);
  const std::uint64_t epoch = session.modules.epoch();
  const std::uint64_t known = session.walks.find(site, extent, taker.thread, epoch);
  WalkRecord record(taker.room.data() + session.max_depth + 1, session.max_depth);
  const std::uint32_t depth = unwind(session, site, taker.room.data(), session.max_depth, record);
  const std::uint64_t stack = session.stacks.find_or_add(taker.room.data(), depth, epoch);
  session.walks.remember(site, extent, taker.thread, epoch, {record, taker.room.data(), stack});
  ++taker.walks;
  taker.found += known != shared::kNoStack;
  taker.disagreements += known != shared::kNoStack && known != stack;
}

// How many of ten walks from one place are found; the first one never is.
template <class Call>
int found_of_ten(Taker& taker, Call call) {
  taker.found = taker.disagreements = 0;
  for (int i = 0; i < 10; ++i) call();
  CHECK(taker.disagreements == 0);
  return taker.found;
}

TEST_CASE("a walk is found from the second time on") {
  Taker taker;
  CHECK(found_of_ten(taker, [&] { take(&taker); }) == 9);
  CHECK(found_of_ten(taker, [&] { fixtures::recurse(20, take, &taker); }) == 9);
  CHECK(found_of_ten(taker, [&] { fixtures::with_large_frame(take, &taker); }) == 9);
  CHECK(found_of_ten(taker, [&] { fixtures::through_qsort(take, &taker); }) == 9);
}

TEST_CASE("a walk that counts from rbp is found, too") {
  Taker taker;
  CHECK(found_of_ten(taker, [&] { fixtures::with_alloca(100, take, &taker); }) == 9);
  CHECK(found_of_ten(taker, [&] { fixtures::realigned(100, take, &taker); }) == 9);
}

TEST_CASE("a walk that was cut at the session's depth is found, too") {
  Taker taker(16);
  CHECK(found_of_ten(taker, [&] { fixtures::recurse(10, take, &taker); }) == 9);
  CHECK(found_of_ten(taker, [&] { fixtures::recurse(200, take, &taker); }) == 9);
}

TEST_CASE("a walk through a signal's frame, or through one without a rule, is done each time") {
  Taker taker;
  CHECK(found_of_ten(taker, [&] { fixtures::from_signal_handler(take, &taker); }) == 0);
  CHECK(found_of_ten(taker, [&] { fixtures::leakwatch_fixture_cfa_in_rbx(take, &taker); }) == 0);
  CHECK(found_of_ten(taker, [&] { fixtures::leakwatch_fixture_without_rules(take, &taker); }) == 0);
}

TEST_CASE("walks of another thread are found, too, and in another epoch none") {
  Taker taker;
  std::thread([&] {
    CHECK(found_of_ten(taker, [&] { fixtures::recurse(5, take, &taker); }) == 9);
    taker.session->modules.advance_epoch();
    CHECK(found_of_ten(taker, [&] { fixtures::recurse(5, take, &taker); }) == 9);
  }).join();
}

TEST_CASE("in sampled mode nothing is remembered") {
  SharedRegion region(RegionSettings{});
  PreloadSession session(region);
  CHECK(session->walks.find({1, 8, 0}, {8, 4096}, ThreadState{}, 0) == shared::kNoStack);
}

// A path through frames of all kinds, from numbers: sizes and kinds of frames change all the time, the places of calls
// do not, so that many layouts share a key.
struct Path {
  Taker* taker;
  std::mt19937_64 random;
  std::uint64_t steps = 0;
};

void descend(void* argument) {
  Path& path = *static_cast<Path*>(argument);
  const std::uint64_t step = path.steps % 8;
  path.steps /= 8;
  if (step == 0)
    take(path.taker);
  else if (step <= 3)
    fixtures::recurse(static_cast<unsigned>(step), descend, argument);
  else if (step <= 5)
    fixtures::with_alloca(step * 16, descend, argument);
  else if (step == 6)
    fixtures::realigned(40, descend, argument);
  else
    fixtures::through_qsort(descend, argument);
}

void run_paths(Path& path, int walks) {
  for (int i = 0; i < walks; ++i) {
    path.steps = path.random() % 512;
    if (path.random() % 4 == 0) path.steps += 512 * (path.random() % 64);
    descend(&path);
  }
}

TEST_CASE("thousands of paths through all kinds of frames are found as they are walked") {
  Taker taker;
  Path path{&taker, std::mt19937_64(1)};
  run_paths(path, 30'000);
  CHECK(taker.disagreements == 0);
  CHECK(taker.found > taker.walks / 2);
  CHECK(taker.found < taker.walks);
}

TEST_CASE("threads that share what they remember find what they would walk") {
  Taker first;
  std::atomic<int> disagreements = 0, found = 0;
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      Taker* shared = &first;
      std::vector<std::uint64_t> room(shared->session->scratch_words());
      struct Own {
        Taker* taker;
        std::vector<std::uint64_t>* room;
        ThreadState thread{};
        int found = 0, disagreements = 0;
      } own{shared, &room};
      own.thread.mapped_from = ThreadState::kNothingMapped;
      static constexpr auto take_own = [](void* argument) {
        Own& mine = *static_cast<Own*>(argument);
        Session& session = *mine.taker->session;
        const CallSite site = CallSite::of(__builtin_frame_address(0));
        const StackExtent extent = session.stack_around(site.sp);
        std::uint64_t* addresses = mine.room->data();
        const std::uint64_t known = session.walks.find(site, extent, mine.thread, 0);
        WalkRecord record(addresses + session.max_depth + 1, session.max_depth);
        const std::uint32_t depth = unwind(session, site, addresses, session.max_depth, record);
        const std::uint64_t stack = session.stacks.find_or_add(addresses, depth, 0);
        session.walks.remember(site, extent, mine.thread, 0, {record, addresses, stack});
        mine.found += known != shared::kNoStack;
        mine.disagreements += known != shared::kNoStack && known != stack;
      };
      for (unsigned i = 0; i < 5000; ++i) {
        fixtures::recurse((i * 7 + seed) % 30, +take_own, &own);
        fixtures::with_alloca((i * 5 + seed) % 320, +take_own, &own);
      }
      found += own.found;
      disagreements += own.disagreements;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(disagreements == 0);
  CHECK(found > 0);
}

// A stack made of words, with a walk that nobody did: main at word 5 and 9, rbp saved at word 4 and pointing to word 8.
struct MadeUp {
  MadeUp() : region(RegionSettings{.sample_interval = 1, .max_depth = kDepth}), session(region) {
    words[5] = 0x1000;
    words[9] = 0x2000;
    words[4] = address(8);
    std::vector<std::uint64_t> room(session->scratch_words());
    WalkRecord record(room.data(), kDepth);
    record.begin(site().sp);
    record.read_rbp(address(4));
    record.read_return(address(5));
    record.used_rbp(words[4]);
    record.read_return(address(9));
    const std::uint64_t stack[] = {0x500, 0x1000, 0x2000};
    id = session->stacks.find_or_add(stack, 3, 0);
    thread.mapped_from = site().sp;
    session->walks.remember(site(), extent(), thread, 0, {record, stack, id});
  }
  std::uint64_t address(std::size_t word) const { return reinterpret_cast<std::uintptr_t>(words + word); }
  CallSite site() const { return {pc, address(0), 0}; }
  StackExtent extent() const { return {address(0), address(16)}; }
  std::uint64_t find(std::uint64_t epoch = 0) { return session->walks.find(site(), extent(), thread, epoch); }

  SharedRegion region;
  PreloadSession session;
  ThreadState thread{};
  std::uint64_t words[16] = {};
  std::uint64_t pc = 0x500;
  std::uint64_t id = 0;
};

TEST_CASE("a walk is found while all that it read is as it was") {
  MadeUp walk;
  REQUIRE(walk.id != shared::kNoStack);
  CHECK(walk.find() == walk.id);
  for (const std::size_t word : {0u, 3u, 6u, 10u, 15u}) walk.words[word] = 77;  // it did not read these
  CHECK(walk.find() == walk.id);
}

TEST_CASE("a return address that differs is another walk") {
  for (const std::size_t word : {5u, 9u}) {
    MadeUp walk;
    walk.words[word] += 1;
    CHECK(walk.find() == shared::kNoStack);
  }
}

TEST_CASE("another call of ours, or another saved rbp from which the walk counted, is another walk") {
  MadeUp other_pc, other_rbp;
  other_pc.pc = 0x501;
  CHECK(other_pc.find() == shared::kNoStack);
  other_rbp.words[4] += 8;
  CHECK(other_rbp.find() == shared::kNoStack);
}

TEST_CASE("the same words after a library went are another walk") {
  MadeUp walk;
  CHECK(walk.find(1) == shared::kNoStack);
}

TEST_CASE("nothing is looked up below what is known to be mapped") {
  MadeUp walk;
  walk.thread.mapped_from += 8;
  CHECK(walk.find() == shared::kNoStack);
}

// The same words and a stack that somebody walked: but with its words in other places.
TEST_CASE("a stack that was walked with another layout is not taken for one with this") {
  MadeUp walk;
  const std::uint64_t stack[] = {0x500, 0x1001, 0x2000};
  CHECK(walk.session->stacks.find_or_add(stack, 3, 0) != shared::kNoStack);
  walk.words[5] = 0x1001;
  CHECK(walk.find() == shared::kNoStack);
}

}  // namespace
}  // namespace leakwatch
