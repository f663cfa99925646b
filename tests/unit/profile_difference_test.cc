// SPDX-License-Identifier: Apache-2.0
//
// One moment minus another: what stays is what changed, whatever numbers the two gave to their stacks and modules.
#include "cli/profile/profile_difference.h"

#include "cli/profile/thread_profile.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {
namespace {

using ValuesByStack = std::map<std::string, std::vector<std::int64_t>>;

pb::Profile difference(const HeapSnapshot& before, const HeapSnapshot& after) {
  FakeSymbols symbols;
  ProfileContent content = heap_content(after, HeapProfileKind::kHeap);
  subtract(content, heap_content(before, HeapProfileKind::kHeap));
  pb::Profile profile = parsed(build_profile(content, symbols.lookup()));
  require_well_formed(profile);
  return profile;
}

}  // namespace

TEST_CASE("a moment minus itself is empty") {
  const pb::Profile profile = difference(server(), server());
  CHECK(profile.sample_size() == 0);
  CHECK(profile.location_size() == 0);
  CHECK(profile.sample_type_size() == 4);
}

TEST_CASE("growth, shrinking and what is new stay, with labels") {
  HeapSnapshot after = server();
  after.samples[1].counters = {4, 512, 1, 128};
  after.stacks.push_back({{kMainBase + 0x1200, 0}});
  after.samples.push_back({4, 16, {2, 32, 2, 32}});
  const pb::Profile profile = difference(server(), after);
  CHECK(values_by_stack(profile) ==
        ValuesByStack{{"Cache::grow(int);Cache::insert(int);main", {1, 128, -2, -256}}, {"main", {2, 32, 2, 32}}});
  std::vector<std::int64_t> sizes;
  for (const pb::Sample& sample : profile.sample()) sizes.push_back(sample.label(0).num());
  std::sort(sizes.begin(), sizes.end());
  CHECK(sizes == std::vector<std::int64_t>{16, 128});
}

TEST_CASE("stacks and modules meet by what they are, not by their numbers") {
  HeapSnapshot after = server();
  after.modules.insert(after.modules.begin() + 1, module_at("/usr/lib/libaaa.so", "", kLibraryBase + 0x100000));
  after.stacks = reversed(changed(after.stacks, [](CodeAddress& address) {
    if (address.module == 1) address.module = 2;
  }));
  for (HeapSample& sample : after.samples) sample.stack = 3 - sample.stack;
  after.samples[2].counters += {1, 4096, 1, 4096};
  const pb::Profile profile = difference(server(), after);
  CHECK(values_by_stack(profile) == ValuesByStack{{"extra_init;main;[leakwatch: unknown caller]", {1, 4096, 1, 4096}}});
}

TEST_CASE("what was freed of a library that has gone since is still there") {
  HeapSnapshot after = server();
  after.modules.resize(1);
  after.samples.erase(after.samples.begin() + 2);
  after.stacks = changed(after.stacks, [](CodeAddress& address) {
    if (address.module == 1) address = {};
  });
  const pb::Profile profile = difference(server(), after);
  CHECK(values_by_stack(profile) ==
        ValuesByStack{{"extra_init;main;[leakwatch: unknown caller]", {-2, -8192, -1, -4096}}});
}

TEST_CASE("a difference has the later time and says how long it took") {
  HeapSnapshot after = server();
  after.time_ns += 1'234'567'890;
  const pb::Profile profile = difference(server(), after);
  CHECK(profile.time_nanos() == after.time_ns);
  CHECK(profile.duration_nanos() == 1'234'567'890);
  CHECK(contains(comments(profile), "what changed within 1.2 s"));
}

TEST_CASE("no symbol is looked up for what has not changed") {
  const HeapSnapshot before = server();
  HeapSnapshot after = server();
  after.samples[2].counters.alloc_objects += 1;
  FakeSymbols symbols;
  ProfileContent content = heap_content(after, HeapProfileKind::kHeap);
  subtract(content, heap_content(before, HeapProfileKind::kHeap));
  build_profile(content, symbols.lookup());
  CHECK(symbols.lookups() == 2);
}

TEST_CASE("threads that come and go under one name") {
  ThreadSnapshot before;
  before.modules = {module_at("/opt/app/server", "aa", 0)};
  before.stacks = {{{0x1100, 0}}, {{0x1200, 0}}};
  before.threads = {{1, "server", "poll", 0, 1, 1, true}, {2, "worker-1", "futex wait", 0, 0, 1, true}};
  ThreadSnapshot after = before;
  after.threads.push_back({3, "worker-2", "futex wait", 0, 0, 1, true});
  after.threads[0].stack = 0;
  ProfileContent content = goroutine_content(after);
  subtract(content, goroutine_content(before));
  FakeSymbols symbols;
  const pb::Profile profile = parsed(build_profile(content, symbols.lookup()));
  std::map<std::string, std::int64_t> counts;
  for (const pb::Sample& sample : profile.sample())
    counts[text(profile, sample.label(0).str()) + " " + function_names(profile, sample).back()] = sample.value(0);
  CHECK(counts == std::map<std::string, std::int64_t>{
                      {"server Cache::insert(int)", 1}, {"server main", -1}, {"worker-* Cache::insert(int)", 1}});
}

}  // namespace leakwatch
