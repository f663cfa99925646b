// SPDX-License-Identifier: Apache-2.0
//
// What stays and what is folded when a profile has limits. Totals are exact whatever happens.
#include "cli/profile/profile_rows.h"

#include <numeric>
#include <random>

#include "tests/unit/profile_fixtures.h"

namespace leakwatch {
namespace {

constexpr const char* kFoldedName = "[leakwatch: folded]";

// Stacks of one frame each, with so many live and allocated bytes in blocks of one byte.
HeapSnapshot sites(const std::vector<std::pair<std::int64_t, std::int64_t>>& live_and_allocated) {
  HeapSnapshot snapshot;
  snapshot.modules = {{"/opt/app/server", "aa", kMainBase, {{kMainBase, kMainBase + 0x1000000, 0}}}};
  for (const auto& [live, allocated] : live_and_allocated) {
    const auto index = static_cast<std::uint32_t>(snapshot.stacks.size());
    snapshot.stacks.push_back({{kMainBase + std::uint64_t{0x10} * (index + 1), 0}});
    snapshot.samples.push_back({index, 8, {allocated, allocated, live, live}});
  }
  return snapshot;
}

pb::Profile limited(const HeapSnapshot& snapshot, const ProfileLimits& limits,
                    HeapProfileKind kind = HeapProfileKind::kHeap) {
  FakeSymbols symbols;
  pb::Profile profile = parsed(build_profile(heap_content(snapshot, kind), symbols.lookup(), limits));
  require_well_formed(profile);
  return profile;
}

// So many different stacks of 24 frames.
HeapSnapshot large(std::uint32_t count) {
  HeapSnapshot snapshot = sites({});
  for (std::uint32_t i = 0; i < count; ++i) {
    StackTrace stack;
    for (std::uint64_t depth = 0; depth < 24; ++depth) {
      stack.push_back({kMainBase + 0x1000 + (std::uint64_t{i} * 7919 + depth * 131) % 30'000, 0});
    }
    snapshot.stacks.push_back(std::move(stack));
    const std::int64_t live = 1 + i % 1000;
    snapshot.samples.push_back({i, 64, {2 * live, 128 * live, live, 64 * live}});
  }
  return snapshot;
}

}  // namespace

TEST_CASE("the lightest samples are folded, by live bytes and then by allocated ones") {
  const pb::Profile profile = limited(sites({{5, 5}, {1, 900}, {1, 800}, {7, 7}, {0, 950}}), {4});
  CHECK(values_by_stack(profile) ==
        std::map<std::string, std::vector<std::int64_t>>{{"server+0x10", {5, 5, 5, 5}},
                                                         {"server+0x20", {900, 900, 1, 1}},
                                                         {"server+0x40", {7, 7, 7, 7}},
                                                         {kFoldedName, {1750, 1750, 1, 1}}});
}

TEST_CASE("of an allocs profile those with the fewest allocated bytes are folded") {
  const pb::Profile profile = limited(sites({{5, 5}, {1, 900}, {0, 950}}), {2}, HeapProfileKind::kAllocs);
  CHECK(values_by_stack(profile) == std::map<std::string, std::vector<std::int64_t>>{{"server+0x30", {950, 950, 0, 0}},
                                                                                     {kFoldedName, {905, 905, 6, 6}}});
}

TEST_CASE("what is folded has no label: it has no one size") {
  const pb::Profile profile = limited(sites({{5, 5}, {1, 1}, {1, 1}}), {2});
  for (const pb::Sample& sample : profile.sample()) {
    CHECK(sample.label_size() == (function_names(profile, sample).front() == kFoldedName ? 0 : 1));
  }
}

TEST_CASE("nothing is folded where there is room, and everything where there is room for one") {
  const HeapSnapshot snapshot = sites({{5, 5}, {4, 4}, {3, 3}});
  CHECK(limited(snapshot, {3}).sample_size() == 3);
  const pb::Profile one = limited(snapshot, {1});
  REQUIRE(one.sample_size() == 1);
  CHECK(function_names(one, one.sample(0)).front() == kFoldedName);
  CHECK(totals(one) == totals(limited(snapshot, {})));
}

TEST_CASE("samples that are equally heavy are folded alike, in whatever order and place they come") {
  HeapSnapshot snapshot = sites(std::vector<std::pair<std::int64_t, std::int64_t>>(100, {1, 1}));
  const auto kept = [](const HeapSnapshot& of) {
    std::vector<std::string> names;
    for (const auto& [stack, values] : values_by_stack(limited(of, {30}))) names.push_back(stack);
    return names;
  };
  HeapSnapshot shuffled = snapshot;
  std::shuffle(shuffled.samples.begin(), shuffled.samples.end(), std::mt19937(1));
  CHECK(kept(shuffled) == kept(snapshot));
  HeapSnapshot moved = snapshot;
  moved.modules[0].bias += 0x7000;
  moved.stacks = changed(moved.stacks, [](CodeAddress& address) { address.address += 0x7000; });
  CHECK(kept(moved) == kept(snapshot));
}

TEST_CASE("no symbol is looked up for what is folded") {
  FakeSymbols symbols;
  build_profile(heap_content(large(1000), HeapProfileKind::kHeap), symbols.lookup(), {11});
  CHECK(symbols.lookups() <= std::size_t{10} * 24);
}

TEST_CASE("a profile that would have too many bytes is folded until it fits") {
  FakeSymbols symbols;
  const HeapSnapshot snapshot = large(1000);
  for (std::uint64_t address = 0x1000; address < 0x1000 + 30'000; ++address) {
    const std::string name = std::string(500, 'n') + std::to_string(address);
    symbols.set("/opt/app/server", address, {frame(name, name)});
  }
  const ProfileContent content = heap_content(snapshot, HeapProfileKind::kHeap);
  constexpr std::size_t kLimit = 200'000;
  const std::string all = build_profile(content, symbols.lookup());
  REQUIRE(all.size() > 4 * kLimit);
  const std::string fitting = build_profile(content, symbols.lookup(), {16'000, kLimit});
  CHECK(fitting.size() <= kLimit);
  CHECK(fitting.size() > kLimit / 3);
  CHECK(totals(parsed(fitting)) == totals(parsed(all)));
}

TEST_CASE("a hundred thousand stacks are served within the limits, with exact totals") {
  const HeapSnapshot snapshot = large(100'000);
  FakeSymbols symbols;
  const std::string bytes =
      build_profile(heap_content(snapshot, HeapProfileKind::kHeap), symbols.lookup(), kServedLimits);
  CHECK(bytes.size() <= kServedLimits.bytes);
  const pb::Profile profile = parsed(bytes);
  CHECK(profile.sample_size() > 1000);
  CHECK(static_cast<std::size_t>(profile.sample_size()) <= kServedLimits.samples);
  const HeapCounters all = total(snapshot);
  CHECK(totals(profile) ==
        std::vector<std::int64_t>{all.alloc_objects, all.alloc_space, all.inuse_objects, all.inuse_space});
}

TEST_CASE("sums stop at the largest number") {
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  HeapSnapshot snapshot = sites({{kLargest, kLargest}, {3, 3}});
  snapshot.samples[1].stack = 0;
  CHECK(totals(limited(snapshot, {})) == std::vector<std::int64_t>{kLargest, kLargest, kLargest, kLargest});
}

}  // namespace leakwatch
