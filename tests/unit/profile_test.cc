// SPDX-License-Identifier: Apache-2.0
//
// Holds profiles against the contract of pprof's readers, field by field.
#include "cli/profile/profile.h"

#include "cli/profile/accuracy.h"
#include "proto/shared_memory.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {

TEST_CASE("a heap profile has pprof's four columns, and its period") {
  const pb::Profile profile = profile_of(server());
  require_well_formed(profile);
  std::vector<std::string> types;
  for (const pb::ValueType& type : profile.sample_type()) {
    types.push_back(text(profile, type.type()) + "/" + text(profile, type.unit()));
  }
  CHECK(types == std::vector<std::string>{"alloc_objects/count", "alloc_space/bytes", "inuse_objects/count",
                                          "inuse_space/bytes"});
  CHECK(text(profile, profile.period_type().type()) == "space");
  CHECK(text(profile, profile.period_type().unit()) == "bytes");
  CHECK(profile.period() == 524288);
  CHECK(profile.time_nanos() == 1'700'000'000'000'000'000);
  CHECK(profile.duration_nanos() == 0);
  CHECK(profile.doc_url() == 0);
}

TEST_CASE("only allocs sets a default sample type") {
  CHECK(profile_of(server()).default_sample_type() == 0);
  const pb::Profile allocs = profile_of(server(), HeapProfileKind::kAllocs);
  CHECK(text(allocs, allocs.default_sample_type()) == "alloc_space");
}

TEST_CASE("samples carry their counts and the size label") {
  const pb::Profile profile = profile_of(server());
  REQUIRE(profile.sample_size() == 5);
  const auto found = std::find_if(profile.sample().begin(), profile.sample().end(),
                                  [&](const pb::Sample& sample) { return sample.label(0).num() == 4096; });
  REQUIRE(found != profile.sample().end());
  CHECK(std::vector<std::int64_t>(found->value().begin(), found->value().end()) ==
        std::vector<std::int64_t>{2, 8192, 1, 4096});
  CHECK(text(profile, found->label(0).key()) == "bytes");
  CHECK(text(profile, found->label(0).num_unit()) == "bytes");
  CHECK(found->label(0).str() == 0);
  CHECK(function_names(profile, *found) ==
        std::vector<std::string>{"extra_init", "main", "[leakwatch: unknown caller]"});
}

TEST_CASE("mappings: the main executable first, truthful flags, build ids") {
  HeapSnapshot snapshot = server();
  snapshot.modules[0].path += " (deleted)";
  const pb::Profile profile = profile_of(snapshot);
  REQUIRE(profile.mapping_size() == 2);
  CHECK(text(profile, profile.mapping(0).filename()) == "/opt/app/server");
  CHECK(text(profile, profile.mapping(0).build_id()) == "0a1b2c3d");
  CHECK(profile.mapping(0).memory_start() == kMainBase + 0x1000);
  CHECK(profile.mapping(0).memory_limit() == kMainBase + 0x5000);
  CHECK(profile.mapping(0).file_offset() == 0x1000);
  CHECK(profile.mapping(0).has_line_numbers());
  CHECK(profile.mapping(0).has_filenames());
  CHECK(profile.mapping(0).has_inline_frames());
  CHECK_FALSE(profile.mapping(1).has_line_numbers());
  CHECK_FALSE(profile.mapping(1).has_filenames());
  CHECK_FALSE(profile.mapping(1).has_inline_frames());
}

TEST_CASE("an address has all its inlined functions, innermost first") {
  const pb::Profile profile = profile_of(server());
  const pb::Location& first = profile.location(0);
  CHECK(first.address() == kMainBase + 0x1100);
  REQUIRE(first.line_size() == 2);
  CHECK(first.line(0).line() == 12);
  const pb::Function& inner = profile.function(static_cast<int>(first.line(0).function_id()) - 1);
  CHECK(text(profile, inner.name()) == "Cache::grow(int)");
  CHECK(text(profile, inner.system_name()) == "_ZN5Cache4growEi");
  CHECK(text(profile, inner.filename()) == "/src/cache.h");
  CHECK(inner.start_line() == 10);
}

TEST_CASE("each executable segment is a mapping; a gap belongs to the nearest") {
  HeapSnapshot snapshot = server();
  snapshot.modules[0].segments = {{kMainBase + 0x9000, kMainBase + 0xa000, 0x8000},
                                  {kMainBase + 0x1000, kMainBase + 0x2000, 0x1000}};
  snapshot.stacks = {{{kMainBase + 0x1800, 0}, {kMainBase + 0x2100, 0}, {kMainBase + 0x8000, 0}, {kMainBase, 0}}};
  snapshot.samples = {{0, 8, {1, 8, 1, 8}}};
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  REQUIRE(profile.mapping_size() == 3);
  CHECK(profile.mapping(1).file_offset() == 0x8000);
  std::map<std::uint64_t, std::uint64_t> mapping_of;
  for (const pb::Location& each : profile.location()) mapping_of[each.address() - kMainBase] = each.mapping_id();
  CHECK(mapping_of == std::map<std::uint64_t, std::uint64_t>{{0, 1}, {0x1800, 1}, {0x2100, 1}, {0x8000, 2}});
}

TEST_CASE("a library that took an unloaded one's place has a mapping of its own") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(module_at("/usr/lib/libother.so", "abcd", kLibraryBase));
  snapshot.stacks.push_back({{kLibraryBase + 0x2100, 2}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  REQUIRE(profile.mapping_size() == 3);
  std::vector<std::uint64_t> mappings;
  for (const pb::Location& each : profile.location()) {
    if (each.address() == kLibraryBase + 0x2100) mappings.push_back(each.mapping_id());
  }
  CHECK(mappings == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("a library that was loaded twice at one place is one mapping") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(snapshot.modules[1]);
  snapshot.modules.push_back(snapshot.modules[0]);
  snapshot.stacks.push_back({{kLibraryBase + 0x2100, 2}, {kMainBase + 0x1200, 3}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  CHECK(profile.mapping_size() == 2);
  CHECK(profile.location_size() == 6);
}

TEST_CASE("frames of nobody have fixed addresses, names, and no mapping") {
  HeapSnapshot snapshot = server();
  snapshot.stacks.push_back({{0x7e1234, CodeAddress::kNoModule}, {0, CodeAddress::kNoModule}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  std::map<std::string, std::vector<std::uint64_t>> addresses;
  for (const pb::Location& each : profile.location()) {
    if (each.mapping_id() != 0) continue;
    const pb::Function& function = profile.function(static_cast<int>(each.line(0).function_id()) - 1);
    addresses[text(profile, function.name())].push_back(each.address());
  }
  CHECK(addresses == std::map<std::string, std::vector<std::uint64_t>>{{"[leakwatch: deeper frames cut]", {1}},
                                                                       {"[leakwatch: unknown caller]", {2}},
                                                                       {"[leakwatch: stack not recorded]", {3}},
                                                                       {"[unknown code]", {1, 0x7e1234}}});
}

TEST_CASE("a site without live blocks stays, a site without any counts goes, equal sites are one") {
  HeapSnapshot snapshot = server();
  snapshot.stacks.push_back(snapshot.stacks[0]);
  snapshot.stacks.push_back({{kMainBase + 0x3000, 0}});
  snapshot.samples = {{0, 64, {1, 64, 0, 0}}, {4, 64, {2, 128, 1, 64}}, {5, 64, {}}, {1, 8, {1, 8, 0, 0}}};
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  REQUIRE(profile.sample_size() == 2);
  CHECK(profile.sample(0).value(0) == 3);
  CHECK(profile.sample(0).value(1) == 192);
  CHECK(profile.sample(0).value(2) == 1);
  CHECK(profile.sample(1).value(0) == 1);
  CHECK(profile.sample(1).value(3) == 0);
  for (const pb::Location& each : profile.location()) CHECK(each.address() != kMainBase + 0x3000);
}

TEST_CASE("the same state gives the same bytes in any order") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(module_at("/usr/lib/libaaa.so", "", kLibraryBase + 0x100000));
  snapshot.stacks.push_back({{kLibraryBase + 0x102000, 2}, {kMainBase + 0x1200, 0}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  HeapSnapshot shuffled = snapshot;
  std::swap(shuffled.modules[1], shuffled.modules[2]);
  shuffled.stacks = reversed(changed(shuffled.stacks, [](CodeAddress& address) {
    if (address.module == 1 || address.module == 2) address.module = 3 - address.module;
  }));
  for (HeapSample& sample : shuffled.samples) sample.stack = 4 - sample.stack;
  std::rotate(shuffled.samples.begin(), shuffled.samples.begin() + 2, shuffled.samples.end());
  CHECK(bytes_of(shuffled) == bytes_of(snapshot));
}

TEST_CASE("bad bytes in names are replaced") {
  FakeSymbols symbols;
  const std::string bad =
      "a\xff"
      "b\xc0\xaf"
      "c\xed\xa0\x80"
      "d\xf4\x90\x80\x80"
      "e\xe2\x82";
  const std::string good = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89\xef\xbf\xbf\xf4\x8f\xbf\xbf";
  symbols.set("/opt/app/server", 0x1200, {frame(bad, bad), frame(good, good)});
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(build_heap_profile(server(), symbols.lookup(), HeapProfileKind::kHeap)));
  const std::string r = "\xef\xbf\xbd";
  const auto has = [&profile](const std::string& each) {
    return std::count(profile.string_table().begin(), profile.string_table().end(), each) == 1;
  };
  CHECK(has("a" + r + "b" + r + r + "c" + r + r + r + "d" + r + r + r + r + "e" + r + r));
  CHECK(has(good));
}

TEST_CASE("comments say what was not seen") {
  HeapSnapshot snapshot = server();
  snapshot.blindness.lost_allocations = 12;
  snapshot.blindness.notes = {"jemalloc is linked into the program."};
  const std::vector<std::string> texts = comments(profile_of(snapshot));
  CHECK(contains(texts, "./server --port 8080"));
  CHECK(contains(texts, "512 KiB"));
  CHECK(contains(texts, "No symbols in /usr/lib/libextra.so.1."));
  CHECK(contains(texts, "50.0 MiB of memory in all"));
  for (const std::string& sentence : blindness_sentences(snapshot.blindness)) CHECK(contains(texts, sentence));
}

TEST_CASE("an exact session has period 1 and says so") {
  HeapSnapshot snapshot = server();
  snapshot.sample_interval = 1;
  const pb::Profile profile = profile_of(snapshot);
  CHECK(profile.period() == 1);
  CHECK(contains(comments(profile), "every allocation was counted"));
}

TEST_CASE("nothing at all is a valid profile") {
  const pb::Profile profile = profile_of(HeapSnapshot{});
  require_well_formed(profile);
  CHECK(profile.sample_type_size() == 4);
  CHECK(profile.sample_size() == 0);
  CHECK(profile.mapping_size() == 0);
}

TEST_CASE("a main executable without segments or symbols still has its mapping") {
  HeapSnapshot snapshot = server();
  snapshot.modules[0].segments.clear();
  const SymbolLookup none{[](const Module&, std::uint64_t) -> const std::vector<Frame>& {
                            static const std::vector<Frame> kNone;
                            return kNone;
                          },
                          [](const Module&) { return SymbolSource{}; }};
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(build_heap_profile(snapshot, none, HeapProfileKind::kHeap)));
  require_well_formed(profile);
  CHECK(contains(function_names(profile, profile.sample(0)), "server+0x1100"));
}

TEST_CASE("twenty thousand samples") {
  HeapSnapshot snapshot = server();
  snapshot.stacks = {};
  snapshot.samples.clear();
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    StackTrace stack;
    for (std::uint64_t depth = 0; depth < 24; ++depth) {
      stack.push_back({kMainBase + 0x1000 + (std::uint64_t{i} * 7 + depth * 131) % 0x4000, 0});
    }
    snapshot.stacks.push_back(std::move(stack));
    snapshot.samples.push_back({i, 64, {1, 64, 1, 64}});
  }
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  std::int64_t live = 0;
  for (const pb::Sample& sample : profile.sample()) live += sample.value(3);
  CHECK(live == std::int64_t{20'000} * 64);
}

}  // namespace leakwatch
