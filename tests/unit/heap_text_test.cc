// SPDX-License-Identifier: Apache-2.0
//
// The text form of a heap profile, letter by letter, and what `go tool pprof` makes of it: the same as of the binary
// form.
#include "cli/profile/heap_text.h"

#include <cmath>
#include <random>

#include "tests/unit/go_pprof.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {
namespace {

std::string text_of(const HeapSnapshot& snapshot, const ProfileLimits& limits = {}) {
  FakeSymbols symbols;
  return heap_text(heap_content(snapshot, HeapProfileKind::kHeap), symbols.lookup(), limits);
}

HeapSnapshot exact_server() {
  HeapSnapshot snapshot = server();
  snapshot.sample_interval = 1;
  snapshot.resident_bytes = 0;
  return snapshot;
}

// As the state sums it: so many samples of each size, each scaled when it is taken.
HeapSnapshot sampled_server(std::uint64_t interval, std::uint32_t seed) {
  HeapSnapshot snapshot = server();
  snapshot.sample_interval = interval;
  snapshot.samples.clear();
  std::mt19937 random(seed);
  for (std::uint64_t size = 1; size < 100'000'000; size = size * 3 + 1) {
    for (std::uint32_t stack = 0; stack < 3; ++stack) {
      const double scale = 1 / -std::expm1(-static_cast<double>(size) / static_cast<double>(interval));
      const auto scaled = [&](std::int64_t count) {
        return std::pair(std::llround(scale * static_cast<double>(count)),
                         std::llround(scale * static_cast<double>(count) * static_cast<double>(size)));
      };
      const auto live = static_cast<std::int64_t>(random() % 20);
      const auto [inuse_objects, inuse_space] = scaled(live);
      const auto [alloc_objects, alloc_space] = scaled(live + 1 + static_cast<std::int64_t>(random() % 100));
      snapshot.samples.push_back({stack, size, {alloc_objects, alloc_space, inuse_objects, inuse_space}});
    }
  }
  return snapshot;
}

}  // namespace

TEST_CASE("an exact heap as text") {
  HeapSnapshot snapshot = exact_server();
  snapshot.samples.resize(3);
  CHECK(text_of(snapshot) == R"(heap profile: 8: 4736 [15: 9216] @ heap/2
1: 4096 [2: 8192] @ 0x7f0000002101 0x555500001201 0x3
#	0x7f0000002100	extra_init
#	0x555500001200	main	/src/main.cc:7
#	0x2	[leakwatch: unknown caller]

3: 384 [3: 384] @ 0x555500001101 0x555500001201
#	0x555500001100	Cache::grow(int)	/src/cache.h:12
#	0x555500001100	Cache::insert(int)	/src/cache.cc:41
#	0x555500001200	main	/src/main.cc:7

4: 256 [10: 640] @ 0x555500001101 0x555500001201
#	0x555500001100	Cache::grow(int)	/src/cache.h:12
#	0x555500001100	Cache::insert(int)	/src/cache.cc:41
#	0x555500001200	main	/src/main.cc:7

# command: ./server --port 8080
# Exact: every allocation was counted.
# The program was gone when this was written.

MAPPED_LIBRARIES:
555500001000-555500005000 r-xp 00001000 00:00 0 /opt/app/server
7f0000001000-7f0000005000 r-xp 00001000 00:00 0 /usr/lib/libextra.so.1
)");
}

TEST_CASE("figures stand in the text as they were sampled") {
  HeapSnapshot snapshot = server();
  // Three samples of 64 bytes of which two are live, each of which stands for 8192.5 blocks.
  snapshot.samples = {{0, 64, {24577, 1'572'960, 16385, 1'048'640}}};
  const std::string text = text_of(snapshot);
  CHECK(text.starts_with("heap profile: 2: 128 [3: 192] @ heap/1048576\n2: 128 [3: 192] @ 0x555500001101 "));
}

TEST_CASE("a first line in which all is live does not make readers drop two columns") {
  HeapSnapshot snapshot = exact_server();
  snapshot.samples = {{0, 64, {2, 128, 2, 128}}};
  const std::string text = text_of(snapshot);
  const std::string first_line = "heap profile: 2: 128 [2: 129] @ heap/2\n";
  REQUIRE(text.starts_with(first_line + "2: 128 [2: 128] @ "));
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string columns = "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes";
  CHECK(contains(pprof("-raw -symbolize=none " + files.write_text("heap.txt", text)), columns));
  const std::string true_sums = "heap profile: 2: 128 [2: 128] @ heap/2\n" + text.substr(first_line.size());
  CHECK_FALSE(contains(pprof("-raw -symbolize=none " + files.write_text("sums.txt", true_sums)), columns));
}

TEST_CASE("the first line has the sums of the rows where not all is live") {
  HeapSnapshot snapshot = exact_server();
  snapshot.samples = {{0, 64, {3, 192, 2, 128}}, {1, 64, {1, 64, 1, 64}}, {1, 32, {2, 64, 0, 0}}};
  CHECK(text_of(snapshot).starts_with("heap profile: 3: 192 [6: 320] @ heap/2\n"));
}

TEST_CASE("names cannot add lines") {
  HeapSnapshot snapshot = exact_server();
  snapshot.modules[1].path = "/usr/lib/lib\nheap profile.so";
  FakeSymbols symbols;
  symbols.set("/opt/app/server", 0x1200, {frame("a\n1: 2 [3: 4] @ 0x1\tb\xff", "a", "/src/x\n.cc", 1)});
  const std::string text = heap_text(heap_content(snapshot, HeapProfileKind::kHeap), symbols.lookup(), {});
  CHECK(contains(text, "#\t0x555500001200\ta?1: 2 [3: 4] @ 0x1?b\xef\xbf\xbd\t/src/x?.cc:1\n"));
  CHECK(contains(text, "/usr/lib/lib?heap profile.so\n"));
}

TEST_CASE("what does not fit into the text is folded") {
  const std::string text = text_of(exact_server(), {2});
  CHECK(text.starts_with("heap profile: 20: 5504 [27: 9984] @ heap/2\n1: 4096 ["));
  CHECK(contains(text, "\n19: 1408 [25: 1792] @ 0x13\n#\t0x12\t[leakwatch: folded]\n\n"));
}

TEST_CASE("go tool pprof reads the same from an exact text as from the binary form") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string text = files.write_text("heap.txt", text_of(exact_server()));
  const std::string binary = files.write("heap.pb.gz", bytes_of(exact_server()));
  CHECK(totals_read(text) == totals_read(binary));
  CHECK(totals_read(text) == std::vector<std::int64_t>{27, 9984, 20, 5504});
  const std::string raw = pprof("-raw -symbolize=none " + text);
  CHECK(contains(raw, "0x555500001100 M=1"));
  CHECK(contains(raw, "/usr/lib/libextra.so.1"));
}

TEST_CASE("go tool pprof scales a sampled text up to the binary form's figures") {
  if (!have_go()) return;
  const ProfileFiles files;
  for (const std::uint64_t interval : {std::uint64_t{4096}, std::uint64_t{524288}}) {
    const HeapSnapshot snapshot = sampled_server(interval, 1);
    const std::vector<std::int64_t> read = totals_read(files.write_text("heap.txt", text_of(snapshot)));
    const std::vector<std::int64_t> meant = totals_read(files.write("heap.pb.gz", bytes_of(snapshot)));
    REQUIRE(read.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
      INFO("interval " << interval << ", column " << i << ": " << read[i] << " for " << meant[i]);
      CHECK(std::abs(static_cast<double>(read[i] - meant[i])) < 0.001 * static_cast<double>(meant[i]));
    }
  }
}

TEST_CASE("a text of nothing is still a profile") {
  const std::string text = text_of(HeapSnapshot{});
  CHECK(text.starts_with("heap profile: 0: 0 [0: 1] @ heap/2\n"));
  if (!have_go()) return;
  const ProfileFiles files;
  CHECK(contains(pprof("-raw " + files.write_text("heap.txt", text)), "inuse_space/bytes"));
}

}  // namespace leakwatch
