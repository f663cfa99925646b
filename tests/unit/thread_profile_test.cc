// SPDX-License-Identifier: Apache-2.0
//
// Thread snapshots as the readers of profiles get them: types, values, labels, and nothing that drifts. The names that
// make groups of threads.
#include "cli/profile/thread_profile.h"

#include <map>

#include "proto/profile.pb.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

namespace pb = perftools::profiles;

SymbolLookup symbols() {
  static std::map<std::uint64_t, std::vector<Frame>> frames;
  return {[](const Module&, std::uint64_t address) -> const std::vector<Frame>& {
            const std::string name = "function_" + std::to_string(address);
            return frames.try_emplace(address, std::vector<Frame>{{name, name, "", 0, 0}}).first->second;
          },
          [](const Module&) {
            return SymbolSource{true, true};
          }};
}

ThreadSnapshot pool() {
  ThreadSnapshot snapshot;
  snapshot.time_ns = 1'700'000'000'000'000'000;
  snapshot.modules = {{"/opt/app/server", "aa", 0, {{0, 0x10000, 0}}}};
  snapshot.stacks = {{{1, 0}}, {{2, 0}}, {{kMainThreadMark, CodeAddress::kMarkFrame}}};
  snapshot.threads = {{500, "server", "poll", 0, 2, 2, false},
                      {501, "worker-1", "futex wait", 5, 0, 1, true},
                      {502, "worker-2", "running", 0, 0, 1, true}};
  snapshot.creators = {{1, {5, 2, 1, 24}}, {2, {1, 1, 0, 0}}, {0, {}}};
  snapshot.notes = {"not all was seen"};
  snapshot.command = "server -p 80";
  return snapshot;
}

pb::Profile parse(const std::string& bytes) {
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(bytes));
  return profile;
}
const std::string& text(const pb::Profile& profile, std::int64_t index) {
  return profile.string_table(static_cast<int>(index));
}
std::vector<std::string> types(const pb::Profile& profile) {
  std::vector<std::string> result;
  for (const auto& type : profile.sample_type())
    result.push_back(text(profile, type.type()) + "/" + text(profile, type.unit()));
  return result;
}
std::vector<std::string> comments(const pb::Profile& profile) {
  std::vector<std::string> result;
  for (const std::int64_t index : profile.comment()) result.push_back(text(profile, index));
  return result;
}
std::map<std::string, std::vector<std::int64_t>> by_leaf(const pb::Profile& profile) {
  std::map<std::uint64_t, std::string> functions, locations;
  for (const auto& function : profile.function()) functions[function.id()] = text(profile, function.name());
  for (const auto& location : profile.location()) locations[location.id()] = functions[location.line(0).function_id()];
  std::map<std::string, std::vector<std::int64_t>> result;
  for (const auto& sample : profile.sample())
    result[locations[sample.location_id(0)]] = {sample.value().begin(), sample.value().end()};
  return result;
}

using Values = std::vector<std::int64_t>;

TEST_CASE("the threads profile counts threads by place, under their common name") {
  const pb::Profile profile = parse(build_threads_profile(pool(), symbols()));
  CHECK(types(profile) == std::vector<std::string>{"threads/count"});
  CHECK(by_leaf(profile) == std::map<std::string, Values>{{"function_1", {2}}, {"[leakwatch: main thread]", {1}}});
  std::map<std::string, std::int64_t> names;
  for (const auto& sample : profile.sample()) {
    REQUIRE(sample.label_size() == 1);
    CHECK(text(profile, sample.label(0).key()) == "thread_name");
    names[text(profile, sample.label(0).str())] += sample.value(0);
  }
  CHECK(names == std::map<std::string, std::int64_t>{{"worker-*", 2}, {"server", 1}});
  CHECK(profile.time_nanos() == 1'700'000'000'000'000'000);
}

TEST_CASE("threads at one place with different names stay apart") {
  ThreadSnapshot snapshot = pool();
  snapshot.threads[2].name = "logger";
  const pb::Profile profile = parse(build_threads_profile(snapshot, symbols()));
  CHECK(profile.sample_size() == 3);
}

TEST_CASE("the threadcreate profile says what became of the threads of each creator") {
  const pb::Profile profile = parse(build_threadcreate_profile(pool(), symbols()));
  CHECK(types(profile) ==
        std::vector<std::string>{"threadcreate/count", "running/count", "ended_unjoined/count", "stack/bytes"});
  CHECK(text(profile, profile.default_sample_type()) == "running");
  CHECK(by_leaf(profile) ==
        std::map<std::string, Values>{{"function_2", {5, 2, 1, 24}}, {"[leakwatch: main thread]", {1, 1, 0, 0}}});
}

TEST_CASE("served threads have the one type of Go's goroutines, and the same label") {
  const pb::Profile profile = parse(build_profile(goroutine_content(pool()), symbols()));
  CHECK(types(profile) == std::vector<std::string>{"goroutine/count"});
  CHECK(text(profile, profile.period_type().type()) == "goroutine");
  CHECK(text(profile, profile.period_type().unit()) == "count");
  CHECK(profile.period() == 1);
  CHECK(by_leaf(profile) == std::map<std::string, Values>{{"function_1", {2}}, {"[leakwatch: main thread]", {1}}});
  for (const auto& sample : profile.sample()) CHECK(text(profile, sample.label(0).key()) == "thread_name");
}

TEST_CASE("served creators have the one type of Go's threads: all that were ever created") {
  const pb::Profile profile = parse(build_profile(threadcreate_content(pool()), symbols()));
  CHECK(types(profile) == std::vector<std::string>{"threadcreate/count"});
  CHECK(text(profile, profile.period_type().type()) == "threadcreate");
  CHECK(profile.default_sample_type() == 0);
  CHECK(by_leaf(profile) == std::map<std::string, Values>{{"function_2", {5}}, {"[leakwatch: main thread]", {1}}});
}

TEST_CASE("both say what they belong to and what was not seen") {
  const std::vector<std::string> wanted = {"command: server -p 80", "not all was seen"};
  CHECK(comments(parse(build_threads_profile(pool(), symbols()))) == wanted);
  CHECK(comments(parse(build_threadcreate_profile(pool(), symbols()))) == wanted);
}

TEST_CASE("what drifts is in no profile: the same threads, later, give the same bytes") {
  ThreadSnapshot later = pool();
  for (LiveThread& thread : later.threads) {
    thread.tid += 10;
    thread.waiting_ns += 1'000'000'000;
    thread.state = "another";
  }
  std::swap(later.threads[1], later.threads[2]);
  CHECK(build_threads_profile(later, symbols()) == build_threads_profile(pool(), symbols()));
  CHECK(build_threadcreate_profile(later, symbols()) == build_threadcreate_profile(pool(), symbols()));
}

TEST_CASE("names that only count are one group") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"worker-17", "worker-*"},   {"worker", "worker"}, {"7", "*"},      {"", ""},
      {"a1b22c", "a*b*c"},         {"2024", "*"},        {"w-*1", "w-*"}, {"Pool #3 w12", "Pool #* w*"},
      {"\xc3\xa4-1", "\xc3\xa4-*"}};
  for (const auto& [name, folded] : table) CHECK(folded_name(name) == folded);
}

TEST_CASE("the total is the sum over all creators") {
  CHECK(total(pool()) == ThreadCounters{6, 3, 1, 24});
  CHECK(total(ThreadSnapshot()) == ThreadCounters{});
}

}  // namespace
}  // namespace leakwatch
