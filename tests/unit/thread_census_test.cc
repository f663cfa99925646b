// SPDX-License-Identifier: Apache-2.0
//
// One list of threads out of two: what the ledger says of their creators, and what was seen of them from outside.
#include "cli/session/thread_census.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr pid_t kPid = 500;

Module module_at(const std::string& path, const std::string& build_id, std::uint64_t bias) {
  return {path, build_id, bias, {}};
}
const Module kProgram = module_at("/opt/app/server", "aa", 0x1000);
const Module kLibrary = module_at("/usr/lib/libc.so.6", "bb", 0x2000);
const Module kOurs = module_at("/usr/lib/leakwatch/libleakwatch.so", "cc", 0x3000);

StackTrace trace(std::uint64_t address, std::uint32_t module = 0) {
  return {{address, module}};
}
const StackTrace kFirstCreator = trace(0x1111);
const StackTrace kSecondCreator = trace(0x1222);

KnownThread record(std::uint64_t token, std::uint32_t tid, std::uint32_t stack, bool ended = false) {
  KnownThread result;
  result.record.token = token;
  result.record.tid = tid;
  result.record.stack = stack;
  result.record.ended = ended;
  return result;
}

ObservedThread observed(pid_t tid, StackTrace stack, const std::string& name = "worker-1") {
  ObservedThread thread;
  thread.tid = tid;
  thread.own_tid = static_cast<std::uint32_t>(tid);
  thread.name = name;
  thread.state = "futex wait";
  thread.waiting_ns = 7;
  thread.stack = std::move(stack);
  return thread;
}

// A program with two creators, of which the first made a thread that runs and one that nobody joined.
CensusInput server() {
  return {kPid,
          {record(1, 501, 1), record(2, 502, 1, true), record(3, 503, 2)},
          {{1, {2, 1, 1, 16}}, {2, {1, 1, 0, 8}}},
          {kProgram, kLibrary},
          [](std::uint32_t stack) {
            return std::make_shared<const StackTrace>(stack == 1 ? kFirstCreator : kSecondCreator);
          },
          {}};
}

ThreadSnapshot with_observation(std::vector<ObservedThread> threads,
                                std::vector<Module> modules = {kProgram, kLibrary}) {
  CensusInput input = server();
  input.observation.threads = std::move(threads);
  input.observation.modules = std::move(modules);
  return take_census(std::move(input));
}

const LiveThread& thread_of(const ThreadSnapshot& snapshot, std::uint32_t tid) {
  for (const LiveThread& thread : snapshot.threads) {
    if (thread.tid == tid) return thread;
  }
  throw std::runtime_error("no such thread");
}

TEST_CASE("without a look, threads stand where they were made, and ended ones are no threads") {
  const ThreadSnapshot snapshot = take_census(server());
  REQUIRE(snapshot.threads.size() == 3);  // main is known without the ledger
  CHECK(snapshot.threads[1].tid == 501);
  CHECK(snapshot.threads[2].tid == 503);
  for (const LiveThread& thread : snapshot.threads) {
    CHECK_FALSE(thread.is_placed);
    CHECK(thread.stack == thread.creator);
  }
  CHECK(snapshot.stacks[snapshot.threads[0].creator] == StackTrace{{kMainThreadMark, CodeAddress::kMarkFrame}});
  CHECK(snapshot.stacks[snapshot.threads[1].creator] == kFirstCreator);
  CHECK(snapshot.stacks[snapshot.threads[2].creator] == kSecondCreator);
  CHECK(total(snapshot) == ThreadCounters{4, 3, 1, 24});
}

TEST_CASE("a thread that was seen has its place, its name and its creator") {
  const ThreadSnapshot snapshot = with_observation({observed(501, trace(0x1abc))});
  const LiveThread& thread = thread_of(snapshot, 501);
  CHECK(thread.is_placed);
  CHECK(thread.name == "worker-1");
  CHECK(thread.state == "futex wait");
  CHECK(thread.waiting_ns == 7);
  CHECK(snapshot.stacks[thread.stack] == trace(0x1abc));
  CHECK(snapshot.stacks[thread.creator] == kFirstCreator);
}

TEST_CASE("a thread whose stack could not be read stands where it was made") {
  const LiveThread thread = thread_of(with_observation({observed(501, {})}), 501);
  CHECK_FALSE(thread.is_placed);
  CHECK(thread.stack == thread.creator);
}

TEST_CASE("main and threads that nobody saw being made stand under marks, and are counted there") {
  const ThreadSnapshot snapshot =
      with_observation({observed(kPid, trace(0x1001)), observed(501, trace(0x1002)), observed(503, trace(0x1002)),
                        observed(601, trace(0x1003)), observed(602, trace(0x1003))});
  const auto creator = [&snapshot](std::uint32_t tid) { return snapshot.stacks[thread_of(snapshot, tid).creator]; };
  CHECK(creator(kPid) == trace(kMainThreadMark, CodeAddress::kMarkFrame));
  CHECK(creator(601) == trace(kUnseenCreatorMark, CodeAddress::kMarkFrame));
  CHECK(thread_of(snapshot, 601).creator == thread_of(snapshot, 602).creator);
  REQUIRE(snapshot.creators.size() == 4);
  CHECK(snapshot.creators[2].counters == ThreadCounters{1, 1, 0, 0});
  CHECK(snapshot.creators[3].counters == ThreadCounters{2, 2, 0, 0});
  CHECK(total(snapshot).running == static_cast<std::int64_t>(snapshot.threads.size()));
}

TEST_CASE("modules of both sources become one list") {
  const Module mapped_elsewhere = module_at(kLibrary.path, kLibrary.build_id, 0x9000);
  const Module without_id = module_at(kProgram.path, "", kProgram.bias);
  const Module rebuilt = module_at(kLibrary.path, "dd", kLibrary.bias);
  const Module linked = module_at("/lib/libc.so.6", kLibrary.build_id, kLibrary.bias);
  const Module unknown = module_at("/opt/app/plugin.so", "ee", 0x5000);
  const std::vector<std::pair<Module, std::uint32_t>> table = {
      {kProgram, 0}, {kLibrary, 1}, {without_id, 0}, {mapped_elsewhere, 2}, {rebuilt, 2}, {unknown, 2}, {linked, 1}};
  for (const auto& [module, place] : table) {
    const ThreadSnapshot snapshot = with_observation({observed(501, trace(0x42, 0))}, {module});
    INFO(module.path << " " << module.build_id);
    CHECK(snapshot.stacks[thread_of(snapshot, 501).stack] == trace(0x42, place));
    CHECK(snapshot.modules.size() == std::max<std::size_t>(2, place + 1));
    CHECK(snapshot.modules[0] == kProgram);
  }
}

TEST_CASE("our own frames are left out, code without a file is not") {
  const StackTrace stack = {{0x2001, 1}, {0x3001, 2}, {0x77, CodeAddress::kNoModule}, {0x1001, 0}};
  for (const Module& ours : {kOurs, module_at("/memfd:libleakwatch-0123456789abcdef", "cc", 0x3000)}) {
    const ThreadSnapshot snapshot = with_observation({observed(501, stack)}, {kProgram, kLibrary, ours});
    CHECK(snapshot.stacks[thread_of(snapshot, 501).stack] ==
          StackTrace{{0x2001, 1}, {0x77, CodeAddress::kNoModule}, {0x1001, 0}});
  }
}

TEST_CASE("what could not be seen is noted once") {
  CensusInput input = server();
  CHECK(take_census(server()).notes ==
        std::vector<std::string>{"The program was gone when this was written: threads stand where they were created."});
  input.observation.refusal = "not permitted";
  CHECK(take_census(input).notes == std::vector<std::string>{"not permitted"});
}

TEST_CASE("a thread that has told its end is not shown as running at its creator") {
  const ThreadSnapshot snapshot = with_observation({observed(501, trace(0x1001)), observed(502, trace(0x1001))});
  for (const LiveThread& thread : snapshot.threads)
    CHECK((thread.tid == 501 || snapshot.stacks[thread.creator] != kFirstCreator));
  CHECK(snapshot.creators[0].counters == ThreadCounters{2, 1, 1, 16});
}

// As `server`, with one more thread of the second creator that has not told its number yet.
CensusInput server_with_an_expected_thread() {
  CensusInput input = server();
  input.known.push_back(record(4, 0, 2));
  input.observation.modules = {kProgram, kLibrary};
  input.observation.threads = {observed(501, trace(0x1001)), observed(700, trace(0x1001))};
  return input;
}

TEST_CASE("a thread that nobody knows is one that is expected, if there is one, and no stranger") {
  const auto creator_of_700 = [](const CensusInput& input) {
    const ThreadSnapshot snapshot = take_census(input);
    return snapshot.stacks[thread_of(snapshot, 700).creator];
  };
  const StackTrace unseen = trace(kUnseenCreatorMark, CodeAddress::kMarkFrame);
  CHECK(creator_of_700(server_with_an_expected_thread()) == kSecondCreator);
  CensusInput stranger = server_with_an_expected_thread();
  stranger.strangers = {700};
  CHECK(creator_of_700(stranger) == unseen);
  CensusInput two = server_with_an_expected_thread();  // but only one is expected
  two.observation.threads.insert(two.observation.threads.begin() + 1, observed(699, trace(0x1001)));
  CHECK(creator_of_700(two) == unseen);
  CensusInput ended = server_with_an_expected_thread();
  ended.known.back().record.ended = true;
  CHECK(creator_of_700(ended) == unseen);
}

TEST_CASE("main is never taken for an expected thread") {
  CensusInput input = server_with_an_expected_thread();
  input.observation.threads = {observed(kPid, trace(0x1001))};
  const ThreadSnapshot snapshot = take_census(std::move(input));
  CHECK(snapshot.stacks[snapshot.threads[0].creator] == trace(kMainThreadMark, CodeAddress::kMarkFrame));
}

KnownThread with_details(KnownThread thread) {
  thread.record.stack_bytes = 8 << 20;
  thread.record.guard_bytes = 4096;
  thread.start_routine = {0x1500, 0};
  thread.age_ns = 90;
  thread.stack_resident_bytes = 12288;
  return thread;
}

void check_details(const ThreadFacts& facts) {
  CHECK(facts.start_routine == CodeAddress{0x1500, 0});
  CHECK(facts.age_ns == 90);
  CHECK(facts.stack_bytes == 8 << 20);
  CHECK(facts.guard_bytes == 4096);
  CHECK(facts.stack_resident_bytes == 12288);
}

TEST_CASE("what a thread was made with is told, while it runs, when nobody joined it, and after the process") {
  CensusInput input = server();
  input.known = {with_details(record(1, 501, 1)), with_details(record(2, 502, 1, true))};
  input.observation.threads = {observed(501, trace(0x1001))};
  input.observation.threads[0].waits_on = "pipe";
  input.observation.threads[0].wait_channel = "pipe_read";
  input.observation.threads[0].stack_note = "it ends early";
  CensusInput gone = input;
  gone.observation = {};
  const ThreadSnapshot snapshot = take_census(std::move(input));
  const LiveThread& thread = thread_of(snapshot, 501);
  check_details(thread.facts);
  CHECK(thread.waits_on == "pipe");
  CHECK(thread.wait_channel == "pipe_read");
  CHECK(thread.stack_note == "it ends early");
  REQUIRE(snapshot.unjoined.size() == 1);
  CHECK(snapshot.unjoined[0].tid == 502);
  CHECK(snapshot.stacks[snapshot.unjoined[0].creator] == kFirstCreator);
  check_details(snapshot.unjoined[0].facts);
  const ThreadSnapshot later = take_census(std::move(gone));
  check_details(thread_of(later, 501).facts);
  CHECK(later.unjoined.size() == 1);
}

TEST_CASE("of threads that nobody saw being made, what the kernel knows is told") {
  CensusInput input = server();
  input.observation.threads = {observed(kPid, trace(0x1001)), observed(601, trace(0x1001))};
  input.unseen[kPid].stack_bytes = 132 << 10;
  input.unseen[601].age_ns = 77;
  const ThreadSnapshot snapshot = take_census(std::move(input));
  CHECK(thread_of(snapshot, kPid).facts.stack_bytes == 132 << 10);
  CHECK(thread_of(snapshot, 601).facts.age_ns == 77);
}

TEST_CASE("in another pid namespace a thread is known by the number that it has there") {
  CensusInput input = server();
  input.observation.threads = {observed(90501, trace(0x1001))};
  input.observation.threads[0].own_tid = 501;
  const ThreadSnapshot snapshot = take_census(std::move(input));
  CHECK(snapshot.stacks[thread_of(snapshot, 90501).creator] == kFirstCreator);
}

}  // namespace
}  // namespace leakwatch
