// SPDX-License-Identifier: Apache-2.0
//
// Profiles in the hands of the real `go tool pprof`: what it shows, what it subtracts.
#include "cli/profile/profile.h"

#include "tests/unit/go_pprof.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {

TEST_CASE("go tool pprof shows what is live") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string path = files.write("heap.pb.gz", bytes_of(server()));
  const std::string top = pprof("-top " + path);
  CHECK(contains(top, "File: server"));
  CHECK(contains(top, "Type: inuse_space"));
  CHECK(contains(top, "Cache::grow(int)"));
  CHECK(contains(top, "main"));
  CHECK(contains(top, "[leakwatch: stack not recorded]"));
  const std::string traces = pprof("-traces -sample_index=alloc_objects " + path);
  CHECK(contains(traces, "[leakwatch: deeper frames cut]"));
  CHECK(contains(traces, "extra_init"));
  const std::string raw = pprof("-raw " + path);
  CHECK(raw_samples(raw).size() == 10);
  CHECK(contains(raw, "bytes:[4096"));
  CHECK(contains(pprof("-comments " + path), "./server --port 8080"));
}

TEST_CASE("go tool pprof shows the allocations of an allocs profile") {
  if (!have_go()) return;
  const ProfileFiles files;
  FakeSymbols symbols;
  const std::string path =
      files.write("allocs.pb.gz", build_heap_profile(server(), symbols.lookup(), HeapProfileKind::kAllocs));
  CHECK(contains(pprof("-top " + path), "Type: alloc_space"));
}

TEST_CASE("two runs at different addresses subtract to nothing") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string first = files.write("first.pb.gz", bytes_of(server()));
  const std::string second = files.write("second.pb.gz", bytes_of(server(0x12345000)));
  const std::string both = first + " " + second;
  CHECK(raw_samples(pprof("-raw -base " + both)).empty());
  CHECK(contains(pprof("-top -base " + both), "Showing nodes accounting for 0, "));
  // -diff_base keeps both sides of each sample, so only the sums meet.
  CHECK(contains(pprof("-top -diff_base " + both), "Showing nodes accounting for 0, "));
}

TEST_CASE("one more site is all that is left of a subtraction") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string first = files.write("first.pb.gz", bytes_of(server()));
  HeapSnapshot grown = server(0x7000);
  grown.stacks.push_back({{kLibraryBase + 0x15000 + 0x2100, 1}, {kMainBase + 0x7000 + 0x1100, 0}});
  grown.samples.push_back({4, 32, {9, 288, 9, 288}});
  const std::string second = files.write("second.pb.gz", bytes_of(grown));
  const std::vector<std::string> left = raw_samples(pprof("-raw -base " + first + " " + second));
  REQUIRE(left.size() == 2);
  CHECK(contains(left[0], "9        288          9        288"));
  CHECK(contains(left[1], "bytes:[32"));
  const std::string top = pprof("-top -diff_base " + first + " " + second);
  CHECK(contains(top, "288B"));
  CHECK(contains(top, "extra_init"));
}

TEST_CASE("an empty profile is a base, and has a base, like any other") {
  if (!have_go()) return;
  const ProfileFiles files;
  HeapSnapshot nothing = server(0x9000);
  nothing.samples.clear();
  nothing.stacks = {};
  const std::string empty = files.write("empty.pb.gz", bytes_of(nothing));
  const std::string full = files.write("full.pb.gz", bytes_of(server()));
  CHECK(contains(pprof("-top " + empty), "Type: inuse_space"));
  CHECK(raw_samples(pprof("-raw -base " + empty + " " + full)).size() == 10);
  CHECK(raw_samples(pprof("-raw -base " + full + " " + empty)).size() == 10);
  CHECK(raw_samples(pprof("-raw " + files.write("bare.pb.gz", gzip({})) + " " + full)).size() == 10);
}

TEST_CASE("go tool pprof keeps counts above 2^53 exact, and takes unknown code and reused addresses") {
  if (!have_go()) return;
  const ProfileFiles files;
  HeapSnapshot snapshot = server();
  constexpr std::int64_t kHuge = (std::int64_t{1} << 60) + 1;
  snapshot.modules.push_back(module_at("/usr/lib/libother.so", "abcd", kLibraryBase));
  snapshot.stacks.push_back({{0x7e1234, CodeAddress::kNoModule}, {kLibraryBase + 0x2100, 2}});
  snapshot.samples.push_back({4, std::uint64_t{1} << 63, {1, kHuge, 1, kHuge}});
  const std::string path = files.write("huge.pb.gz", bytes_of(snapshot));
  const std::string raw = pprof("-raw " + path);
  CHECK(contains(raw, "1152921504606846977"));
  CHECK(contains(raw, "libother.so+0x2100"));
  CHECK(contains(pprof("-top " + path), "[unknown code]"));
}

}  // namespace leakwatch
