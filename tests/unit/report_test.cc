// SPDX-License-Identifier: Apache-2.0
//
// Lines and tables as tables of literals: what stands in the snapshots, what the user reads.
#include "cli/report/report.h"

#include <map>
#include <sstream>
#include <utility>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kProgram = 0x400000;
constexpr std::uint64_t kLibrary = 0x700000;
constexpr std::uint64_t kPlugin = 0x900000;

using Symbols = std::map<std::pair<std::string, std::uint64_t>, std::vector<Frame>>;

Frame frame(const std::string& function, const std::string& file = "", int line = 0) {
  return {function, function, file, line, 0};
}

const Symbols& symbols() {
  static const Symbols kSymbols{
      {{"/srv/app", 0x10}, {frame("Session::open()", "/src/session.cc", 41)}},
      {{"/srv/app", 0x11}, {frame("Session::open()", "/src/session.cc", 41)}},
      {{"/srv/app", 0x20}, {frame("main", "/src/main.cc", 7)}},
      {{"/srv/app", 0x30},
       {frame("std::vector<int>::reserve(unsigned long)", "/opt/gcc/vector.tcc", 70),
        frame("void std::vector<int>::_M_grow<int>(int)", "/opt/gcc/vector.tcc", 71),
        frame("__gnu_cxx::new_allocator<int>::allocate(unsigned long)", "/opt/gcc/new.h", 9),
        frame("operator new(unsigned long)", "/opt/gcc/new.h", 8),
        frame("alloc::raw_vec::finish_grow", "/rustc/abc/library/alloc/src/raw_vec.rs", 3),
        frame("Cache::fill()", "/src/cache.cc", 99), frame("Cache::run()", "/src/cache.cc", 120)}},
      {{"/srv/app", 0x40}, {frame("std::vector<int, std::allocator<int> > app::list<int>(int)", "/src/list.cc", 5)}},
      {{"/srv/app", 0x50}, {frame("c_function")}},
      {{"/srv/app", 0x60}, {frame("evil\x1b[31m", "/src/e\x07.c", 1)}},
      {{"/srv/app", 0x70}, {frame("Session::open()", "/other/session.cc", 41)}},
      {{"/usr/lib/libstdc++.so.6", 0x10}, {frame("operator new(unsigned long)")}},
      {{"/usr/lib/libstdc++.so.6", 0x20}, {frame("libstart")}},
      {{"/opt/app/plugin.so", 0x10}, {frame("plugin_load", "/src/plugin.c", 3)}},
  };
  return kSymbols;
}

SymbolLookup lookup() {
  return {[](const Module& module, std::uint64_t address) -> const std::vector<Frame>& {
            return symbols().at({module.path, address});
          },
          [](const Module&) {
            return SymbolSource{true, true};
          }};
}

HeapSnapshot snapshot_of(const std::vector<std::pair<StackTrace, HeapCounters>>& sites) {
  HeapSnapshot snapshot;
  snapshot.modules = {{"/srv/app", "", kProgram, {}},
                      {"/usr/lib/libstdc++.so.6", "", kLibrary, {}},
                      {"/opt/app/plugin.so", "", kPlugin, {}}};
  for (const auto& [stack, counters] : sites) {
    snapshot.samples.push_back({static_cast<std::uint32_t>(snapshot.stacks.size()), 64, counters});
    snapshot.stacks.push_back(stack);
  }
  return snapshot;
}

HeapCounters live(std::int64_t bytes, std::int64_t blocks) {
  return {blocks, bytes, blocks, bytes};
}

CodeAddress program(std::uint64_t offset) {
  return {kProgram + offset, 0};
}
CodeAddress library(std::uint64_t offset) {
  return {kLibrary + offset, 1};
}
CodeAddress plugin(std::uint64_t offset) {
  return {kPlugin + offset, 2};
}

std::string place_of(StackTrace stack) {
  const std::vector<GrownSite> sites =
      grown_sites(snapshot_of({}), snapshot_of({{std::move(stack), live(1, 1)}}), lookup(), 10);
  REQUIRE(sites.size() == 1);
  return sites[0].function + " @ " + sites[0].location;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool contains(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a snapshot is one line") {
  const HeapSnapshot first = snapshot_of({{{program(0x10)}, live(10 << 20, 1000)}});
  HeapSnapshot now = snapshot_of({{{program(0x10)}, live(12 << 20, 45'678)}});
  now.resident_bytes = 45 << 20;
  CHECK(snapshot_line(first, now, 14, 30.04, "heap.0001.pb.gz") ==
        "[  30.0 s] live 12.0 MiB in 45,678 blocks, +2.00 MiB since the first; RSS 45.0 MiB; 14 threads; "
        "heap.0001.pb.gz");
  now.resident_bytes = 0;
  CHECK(snapshot_line(now, snapshot_of({{{program(0x10)}, live(1, 1)}}), 1, 12345.678, "no space left") ==
        "[12345.7 s] live 1 B in 1 block, -12.0 MiB since the first; 1 thread; no space left");
}

TEST_CASE("a site is the first frame of the program's own") {
  const std::vector<std::pair<StackTrace, std::string>> cases{
      {{program(0x10), program(0x20)}, "Session::open() @ session.cc:41"},
      {{library(0x10), program(0x20)}, "main @ main.cc:7"},
      {{library(0x10), plugin(0x10), program(0x20)}, "plugin_load @ plugin.c:3"},
      {{program(0x30), program(0x20)}, "Cache::fill() @ cache.cc:99"},
      {{program(0x40)}, "std::vector<int, std::allocator<int> > app::list<int>(int) @ list.cc:5"},
      {{program(0x50)}, "c_function @ app+0x50"},
      {{library(0x20), library(0x10)}, "libstart @ libstdc++.so.6+0x20"},
      {{{2, CodeAddress::kMarkFrame}}, "[leakwatch: unknown caller] @ "},
      {{{0x1234, CodeAddress::kNoModule}, program(0x20)}, "main @ main.cc:7"},
      {{{0x1234, CodeAddress::kNoModule}}, "[unknown code] @ "},
      {{}, "[leakwatch: stack not recorded] @ "},
  };
  for (const auto& [stack, place] : cases) CHECK(place_of(stack) == place);
}

TEST_CASE("names of operators, lambdas and namespaces do not hide whose code it is") {
  const std::vector<std::pair<std::string, bool>> cases{
      {"std::make_shared<App>()", false},
      {"std::shared_ptr<App> std::make_shared<App>()", false},
      {"decltype (std::declval<int>()) std::forward<int>(int&)", false},
      {"std::ostream& std::operator<< <char>(std::ostream&, char)", false},
      {"operator new[](unsigned long)", false},
      {"__gnu_cxx::hash<int>::operator()(int) const", false},
      {"std::string my_operator<int>(int)", true},
      {"std::ostream& app::operator<< <char>(std::ostream&, app::X)", true},
      {"(anonymous namespace)::Pool::take(std::string)", true},
      {"std::string (anonymous namespace)::name<int>(int)", true},
      {"app::run(std::function<void ()>)::{lambda(int)#1}::operator()(int) const", true},
      {"app::Node::operator new(unsigned long)", true},
      {"app::run [clone .cold]", true},
      {"stdlib_init", true},
      {"", true},
  };
  for (const auto& [function, is_own] : cases) {
    const std::vector<Frame> frames{frame(function, "/src/a.cc", 1), frame("outer", "/src/a.cc", 2)};
    const SymbolLookup two{[&frames](const Module&, std::uint64_t) -> const std::vector<Frame>& { return frames; },
                           [](const Module&) {
                             return SymbolSource{true, true};
                           }};
    const std::vector<GrownSite> sites =
        grown_sites(snapshot_of({}), snapshot_of({{{program(1)}, live(1, 1)}}), two, 1);
    INFO(function);
    REQUIRE(sites.size() == 1);
    CHECK(sites[0].location == (is_own ? "a.cc:1" : "a.cc:2"));
  }
}

TEST_CASE("system folders are not the program's, unless the program itself lives there") {
  const std::vector<std::pair<std::string, bool>> cases{
      {"/lib/x86_64-linux-gnu/libc.so.6", false},
      {"/lib64/libc.so.6", false},
      {"/usr/lib/libfoo.so", false},
      {"/usr/lib64/libfoo.so", false},
      {"/usr/libexec/foo.so", false},
      {"[vdso]", false},
      {"/usr/local/lib/libown.so", true},
      {"/library/libown.so", true},
      {"/home/me/lib/libown.so", true},
  };
  const SymbolLookup by_path{[](const Module& module, std::uint64_t) -> const std::vector<Frame>& {
                               static std::map<std::string, std::vector<Frame>> frames;
                               return frames[module.path] = {frame(module.path)};
                             },
                             [](const Module&) { return SymbolSource{}; }};
  for (const auto& [path, is_own] : cases) {
    HeapSnapshot last = snapshot_of({{{plugin(0x10), program(0x20)}, live(1, 1)}});
    last.modules[0].path = "/usr/lib/postgresql/bin/postgres";
    last.modules[2].path = path;
    CHECK(grown_sites(snapshot_of({}), last, by_path, 1)[0].function == (is_own ? path : last.modules[0].path));
  }
}

TEST_CASE("growth is summed by place, whatever the indexes, and sorted") {
  const HeapSnapshot first = snapshot_of(
      {{{program(0x10), program(0x20)}, live(100, 10)}, {{program(0x20)}, live(500, 5)}, {{plugin(0x10)}, live(0, 0)}});
  HeapSnapshot last = snapshot_of({{{plugin(0x10)}, live(900, 3)},
                                   {{program(0x20)}, live(400, 4)},
                                   {{program(0x11)}, live(150, 15)},
                                   {{library(0x10), program(0x10)}, live(50, 1)},
                                   {{program(0x70)}, live(7, 1)}});
  last.samples.push_back({2, 4096, live(1000, 1)});
  const std::vector<GrownSite> sites = grown_sites(first, last, lookup(), 10);
  REQUIRE(sites.size() == 3);
  CHECK(sites[0].bytes == 1100);
  CHECK(sites[0].blocks == 7);
  CHECK(sites[0].location == "session.cc:41");
  CHECK(sites[1].function == "plugin_load");
  CHECK(sites[1].bytes == 900);
  CHECK(sites[2].bytes == 7);  // another session.cc
  CHECK(grown_sites(first, last, lookup(), 1).size() == 1);
  CHECK(grown_sites(last, last, lookup(), 10).empty());
}

TEST_CASE("the final report: what grew, what was not seen, what to do next") {
  HeapSnapshot last = snapshot_of({{{program(0x10)}, live(3 << 20, 1234)}, {{program(0x60)}, live(10, 1)}});
  last.blindness.lost_allocations = 2;
  const std::string report =
      final_report(snapshot_of({}), last, lookup(), "out/heap.0001.pb.gz", "out/it's here/heap.0002.pb.gz");
  INFO(report);
  const std::vector<std::string> lines = lines_of(report);
  CHECK(lines[0] == "Live heap: 3.00 MiB in 1,235 blocks, +3.00 MiB since the first profile.");
  CHECK(lines[2] == "       bytes        blocks  location       function");
  CHECK(lines[3] == "   +3.00 MiB         1,234  session.cc:41  Session::open");
  CHECK(lines[4] == "       +10 B             1  e?.c:1         evil?[31m");
  CHECK(contains(report, "Exact"));
  CHECK(contains(report, "2 allocations went unrecorded"));
  CHECK(lines.back() == R"(go tool pprof -diff_base out/heap.0001.pb.gz 'out/it'\''s here/heap.0002.pb.gz')");
}

TEST_CASE("the table ends after ten sites") {
  const SymbolLookup many{[](const Module&, std::uint64_t address) -> const std::vector<Frame>& {
                            static std::map<std::uint64_t, std::vector<Frame>> frames;
                            return frames[address] = {frame("site", "/src/many.cc", static_cast<int>(address))};
                          },
                          [](const Module&) {
                            return SymbolSource{true, true};
                          }};
  std::vector<std::pair<StackTrace, HeapCounters>> sites;
  for (int i = 1; i <= 20; ++i) sites.emplace_back(StackTrace{program(static_cast<std::uint64_t>(i))}, live(i, 1));
  const std::string report = final_report(snapshot_of({}), snapshot_of(sites), many, "a", "b");
  CHECK(contains(report, "many.cc:11 "));
  CHECK_FALSE(contains(report, "many.cc:10 "));
}

TEST_CASE("nothing grew: that is said, and how to look all the same") {
  const HeapSnapshot same = snapshot_of({{{program(0x10)}, live(100, 10)}});
  const std::string report = final_report(same, same, lookup(), "a.pb.gz", "b.pb.gz");
  CHECK(contains(report, "Nothing grew"));
  CHECK_FALSE(contains(report, "blocks  location"));
  CHECK(lines_of(report).back() == "go tool pprof -diff_base a.pb.gz b.pb.gz");
}

TEST_CASE("a profile that could not be written is not named") {
  const HeapSnapshot none = snapshot_of({});
  CHECK(lines_of(final_report(none, none, lookup(), "", "b.pb.gz")).back() == "go tool pprof b.pb.gz");
  CHECK(lines_of(final_report(none, none, lookup(), "", "")).back() == "No profile was written.");
}

TEST_CASE("the line of a snapshot has the interval that was steered to") {
  HeapSnapshot now = snapshot_of({});
  now.sample_interval = 2 << 20;
  now.cost.limit = 0.01;
  CHECK(snapshot_line(now, now, 2, 1, "x") ==
        "[   1.0 s] live 0 B in 0 blocks, +0 B since the first; 2 threads; a sample every 2.00 MiB; x");
  now.cost.processor_ns = 1000;
  now.cost.target_ns = 120;
  CHECK(contains(snapshot_line(now, now, 2, 1, "x"), "; a sample every 2.00 MiB, 12% of its processor time so far; x"));
}

TEST_CASE("the total is the sum of all samples") {
  CHECK(total(snapshot_of({})) == HeapCounters{});
  HeapSnapshot snapshot = snapshot_of({{{program(0x10)}, {5, 50, 2, 20}}, {{program(0x20)}, {1, 1, 1, 1}}});
  CHECK(total(snapshot) == HeapCounters{6, 51, 3, 21});
}

}  // namespace leakwatch
