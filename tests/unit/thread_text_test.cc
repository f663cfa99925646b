// SPDX-License-Identifier: Apache-2.0
//
// Threads as text, letter by letter.
#include "cli/profile/thread_text.h"

#include "cli/profile/thread_profile.h"
#include "tests/unit/go_pprof.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {
namespace {

ThreadSnapshot pool() {
  ThreadSnapshot snapshot;
  snapshot.modules = {module_at("/opt/app/server", "aa", kMainBase),
                      module_at("/usr/lib/libextra.so.1", "bb", kLibraryBase)};
  const CodeAddress insert{kMainBase + 0x1100, 0};
  const CodeAddress start{kMainBase + 0x1200, 0};
  const CodeAddress extra{kLibraryBase + 0x2100, 1};
  snapshot.stacks = {{insert, start},
                     {extra, start},
                     {{kMainThreadMark, CodeAddress::kMarkFrame}},
                     {extra, {1, CodeAddress::kMarkFrame}}};
  snapshot.threads = {{500, "server", "poll", 59'999'999'999, 3, 2, true},
                      {501, "worker-1", "futex wait", 300'000'000'000, 0, 1, true},
                      {502, "worker-2", "futex wait", 0, 0, 1, true},
                      {503, "odd \"\\\n]", "running", 60'000'000'000, 1, 1, false}};
  snapshot.creators = {{2, {1, 1, 0, 0}}, {1, {7, 3, 1, 24}}};
  snapshot.notes = {"Not all was seen."};
  return snapshot;
}

std::string goroutines(const ThreadSnapshot& snapshot) {
  FakeSymbols symbols;
  return count_text("goroutine", goroutine_content(snapshot), symbols.lookup(), {});
}

std::string stacks(const ThreadSnapshot& snapshot) {
  FakeSymbols symbols;
  return stacks_text(snapshot, symbols.lookup());
}

}  // namespace

TEST_CASE("threads by stack, the most frequent first") {
  CHECK(goroutines(pool()) == R"(goroutine profile: total 4
2 @ 0x555500001101 0x555500001201
# labels: {"thread_name":"worker-*"}
#	0x555500001100	Cache::grow(int)	/src/cache.h:12
#	0x555500001100	Cache::insert(int)	/src/cache.cc:41
#	0x555500001200	main	/src/main.cc:7

1 @ 0x7f0000002101 0x2
# labels: {"thread_name":"server"}
#	0x7f0000002100	extra_init
#	0x1	[leakwatch: deeper frames cut]

1 @ 0x7f0000002101 0x555500001201
# labels: {"thread_name":"odd \"\\?]"}
#	0x7f0000002100	extra_init
#	0x555500001200	main	/src/main.cc:7

)");
}

TEST_CASE("creators by stack count all threads that were ever created") {
  FakeSymbols symbols;
  CHECK(count_text("threadcreate", threadcreate_content(pool()), symbols.lookup(), {}) ==
        R"(threadcreate profile: total 8
7 @ 0x7f0000002101 0x555500001201
#	0x7f0000002100	extra_init
#	0x555500001200	main	/src/main.cc:7

1 @ 0x11
#	0x10	[leakwatch: main thread]

)");
}

TEST_CASE("go tool pprof counts the same threads in the text") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string path = files.write_text("goroutine.txt", goroutines(pool()));
  CHECK(totals_read(path) == std::vector<std::int64_t>{4});
  const std::string raw = pprof("-raw -symbolize=none " + path);
  CHECK(contains(raw, "goroutine/count"));
  CHECK(contains(raw, "0x555500001100 "));
}

TEST_CASE("threads one by one, as Go prints goroutines") {
  CHECK(stacks(pool()) == R"(goroutine 500 [poll]:
extra_init(...)
	??:0
...additional frames elided...

goroutine 501 [futex wait, 5 minutes]:
Cache::grow(...)
	/src/cache.h:12
Cache::insert(...)
	/src/cache.cc:41
main(...)
	/src/main.cc:7
created by main
	/src/main.cc:7

goroutine 502 [futex wait]:
Cache::grow(...)
	/src/cache.h:12
Cache::insert(...)
	/src/cache.cc:41
main(...)
	/src/main.cc:7
created by main
	/src/main.cc:7

goroutine 503 [running, 1 minutes]:
[leakwatch: stack not recorded](...)
	??:0
created by main
	/src/main.cc:7

# The names of these threads:
# 500 server
# 501 worker-1
# 502 worker-2
# 503 odd "\?]
# Not all was seen.
)");
}

TEST_CASE("a creator without a known source is named all the same") {
  ThreadSnapshot snapshot = pool();
  snapshot.threads = {{501, "worker", "futex wait", 0, 0, 1, true}};
  snapshot.stacks = {snapshot.stacks[0], {{kMainBase + 0x3000, 0}}};
  CHECK(contains(stacks(snapshot), "\ncreated by server+0x3000\n\t??:0\n"));
}

}  // namespace leakwatch
