// SPDX-License-Identifier: Apache-2.0
//
// The text is read back as Prometheus reads it, so that nothing depends on how a version of the library writes numbers.
#include "cli/serve/metrics.h"

#include <unistd.h>

#include <limits>
#include <locale>
#include <map>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "cli/process/process.h"
#include "cli/version.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

struct Exposition {
  std::map<std::string, double> series;  // by name with labels
  std::map<std::string, std::string> types;
  std::map<std::string, std::string> helps;
};

// Any line that is neither a comment of the format nor a series with a number fails the test.
Exposition parse(const std::string& text) {
  REQUIRE_FALSE(text.empty());
  REQUIRE(text.back() == '\n');
  Exposition result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, rest;
    if (line[0] == '#') {
      words >> hash >> kind >> name;
      std::getline(words >> std::ws, rest);
      REQUIRE((kind == "HELP" || kind == "TYPE"));
      REQUIRE((kind == "HELP" ? result.helps : result.types).emplace(name, rest).second);
      continue;
    }
    const std::size_t blank = line.rfind(' ');
    std::size_t read = 0;
    const double value = std::stod(line.substr(blank + 1), &read);
    CHECK(read == line.size() - blank - 1);
    REQUIRE(result.series.emplace(line.substr(0, blank), value).second);
  }
  return result;
}

std::string family_of(const std::string& series) {
  return series.substr(0, series.find('{'));
}

LiveTotals some_totals() {
  LiveTotals totals;
  totals.time_ns = 1;
  totals.program = 1;
  totals.heap = {100, 64000, 40, 24000};
  totals.threads = {12, 5, 3, 1 << 20};
  totals.kernel_threads = 6;
  totals.resident_bytes = 9 << 20;
  totals.sample_interval = 524288;
  totals.events = 777;
  totals.sites = 21;
  totals.blindness.lost_allocations = 31;
  totals.blindness.lost_frees = 32;
  totals.blindness.unknown_frees = 33;
  totals.blindness.stacks_refused = 34;
  totals.blindness.modules_refused = 35;
  totals.blindness.bad_records = 35;
  return totals;
}

const std::string kBuildInfo = std::string("leakwatch_build_info{version=\"") + kVersionText + "\"}";

TEST_CASE("Every figure has a series") {
  Metrics metrics;
  const Exposition exposition = parse(metrics.text(some_totals(), {1.25, 4096}));
  const std::map<std::string, double> wanted{
      {"leakwatch_heap_live_bytes", 24000},
      {"leakwatch_heap_live_blocks", 40},
      {"leakwatch_heap_allocated_bytes_total", 64000},
      {"leakwatch_heap_allocated_blocks_total", 100},
      {"leakwatch_heap_freed_bytes_total", 40000},
      {"leakwatch_heap_freed_blocks_total", 60},
      {"leakwatch_heap_sites", 21},
      {"leakwatch_sample_interval_bytes", 524288},
      {"leakwatch_threads{state=\"running\"}", 5},
      {"leakwatch_threads{state=\"ended_unjoined\"}", 3},
      {"leakwatch_threads_created_total", 12},
      {"leakwatch_target_threads", 6},
      {"leakwatch_target_resident_memory_bytes", 9 << 20},
      {"leakwatch_events_total", 777},
      {"leakwatch_events_lost_total{kind=\"allocation\"}", 31},
      {"leakwatch_events_lost_total{kind=\"free\"}", 32},
      {"leakwatch_events_lost_total{kind=\"malformed\"}", 35},
      {"leakwatch_unmatched_frees_total", 33},
      {"leakwatch_stacks_refused_total", 34},
      {"leakwatch_modules_refused_total", 35},
      {"leakwatch_recording_ended", 0},
      {kBuildInfo, 1},
      {"process_cpu_seconds_total", 1.25},
      {"process_resident_memory_bytes", 4096},
  };
  CHECK(exposition.series == wanted);
}

TEST_CASE("What recording costs has series once it was measured") {
  LiveTotals totals = some_totals();
  totals.cost.target_ns = 1'500'000'000;
  totals.cost.reader_ns = 250'000'000;
  totals.cost.processor_ns = 90'000'000'000;
  Metrics metrics;
  const std::map<std::string, double> series = parse(metrics.text(totals, {})).series;
  CHECK(series.at("leakwatch_recording_seconds_total{place=\"target\"}") == 1.5);
  CHECK(series.at("leakwatch_recording_seconds_total{place=\"reader\"}") == 0.25);
  CHECK(series.at("leakwatch_target_cpu_seconds_total") == 90);
}

TEST_CASE("Every series has a type that its name tells, and a help") {
  Metrics metrics;
  const Exposition exposition = parse(metrics.text(some_totals(), {}));
  std::set<std::string> families;
  for (const auto& [series, value] : exposition.series) families.insert(family_of(series));
  CHECK(exposition.types.size() == families.size());
  for (const std::string& family : families) {
    CAPTURE(family);
    REQUIRE(exposition.types.count(family) == 1);
    CHECK(exposition.types.at(family) == (family.ends_with("_total") ? "counter" : "gauge"));
    REQUIRE(exposition.helps.count(family) == 1);
    CHECK(exposition.helps.at(family).ends_with("."));
  }
}

TEST_CASE("What sampling makes an estimate says so") {
  Metrics metrics;
  for (const auto& [family, help] : parse(metrics.text(some_totals(), {})).helps) {
    CAPTURE(family);
    const bool is_scaled =
        family.starts_with("leakwatch_heap_") && (family.ends_with("_total") || family.find("_live_") != family.npos);
    CHECK((help.find("estimate") != help.npos) == is_scaled);
  }
}

TEST_CASE("Before the program has called back there are only our own series") {
  Metrics metrics;
  const Exposition exposition = parse(metrics.text({}, {0.5, 8192}));
  CHECK(exposition.series == std::map<std::string, double>{{kBuildInfo, 1},
                                                           {"process_cpu_seconds_total", 0.5},
                                                           {"process_resident_memory_bytes", 8192}});
}

TEST_CASE("An end of the recording is seen") {
  Metrics metrics;
  LiveTotals totals = some_totals();
  totals.blindness.ended = "recording ended 3 s before this profile, because leakwatch could not keep up";
  CHECK(parse(metrics.text(totals, {})).series.at("leakwatch_recording_ended") == 1);
}

TEST_CASE("Large numbers keep all their digits") {
  Metrics metrics;
  LiveTotals totals = some_totals();
  constexpr std::int64_t kLarge = (std::int64_t{1} << 53) - 1;
  totals.heap = {kLarge, kLarge, kLarge - 2, 1};
  totals.events = 1234567890123456;
  const Exposition exposition = parse(metrics.text(totals, {86400.125, 1}));
  CHECK(exposition.series.at("leakwatch_heap_allocated_bytes_total") == static_cast<double>(kLarge));
  CHECK(exposition.series.at("leakwatch_heap_live_blocks") == static_cast<double>(kLarge - 2));
  CHECK(exposition.series.at("leakwatch_heap_freed_blocks_total") == 2);
  CHECK(exposition.series.at("leakwatch_events_total") == 1234567890123456);
  CHECK(exposition.series.at("process_cpu_seconds_total") == 86400.125);
}

struct GroupingPunctuation : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST_CASE("The user's locale changes no number") {
  Metrics metrics;
  const std::string plain = metrics.text(some_totals(), {0.25, 1234567});
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new GroupingPunctuation));
  const std::string elsewhere = metrics.text(some_totals(), {0.25, 1234567});
  std::locale::global(before);
  CHECK(elsewhere == plain);
}

TEST_CASE("A counter never falls while the program is the same") {
  Metrics metrics;
  LiveTotals totals = some_totals();
  metrics.text(totals, {});
  totals.heap = {101, 64100, 60, 30000};
  totals.threads.created = 11;
  totals.blindness.lost_frees = 0;
  const Exposition later = parse(metrics.text(totals, {}));
  CHECK(later.series.at("leakwatch_heap_allocated_blocks_total") == 101);
  CHECK(later.series.at("leakwatch_heap_freed_blocks_total") == 60);
  CHECK(later.series.at("leakwatch_heap_freed_bytes_total") == 40000);
  CHECK(later.series.at("leakwatch_threads_created_total") == 12);
  CHECK(later.series.at("leakwatch_events_lost_total{kind=\"free\"}") == 32);
  CHECK(later.series.at("leakwatch_events_lost_total{kind=\"allocation\"}") == 31);
  CHECK(later.series.at("leakwatch_heap_live_blocks") == 60);  // gauges follow
}

TEST_CASE("A program that another one has replaced takes its counters along") {
  Metrics metrics;
  LiveTotals totals = some_totals();
  metrics.text(totals, {});
  totals.program = 2;
  totals.heap = {1, 8, 1, 8};
  totals.threads.created = 0;
  const Exposition anew = parse(metrics.text(totals, {}));
  CHECK(anew.series.at("leakwatch_heap_allocated_bytes_total") == 8);
  CHECK(anew.series.at("leakwatch_heap_freed_blocks_total") == 0);
  CHECK(anew.series.at("leakwatch_threads_created_total") == 0);
}

TEST_CASE("Nonsense from a target is still a series, and no counter is negative") {
  Metrics metrics;
  LiveTotals totals = some_totals();
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  totals.heap = {1, 1, 2, kLargest};
  const Exposition exposition = parse(metrics.text(totals, {}));
  CHECK(exposition.series.at("leakwatch_heap_freed_blocks_total") == 0);
  CHECK(exposition.series.at("leakwatch_heap_freed_bytes_total") == 0);
  totals.heap = {kLargest, kLargest, -1, -kLargest};
  CHECK(parse(metrics.text(totals, {})).series.at("leakwatch_heap_freed_bytes_total") > 1.8e19);
}

TEST_CASE("Many may ask at once") {
  Metrics metrics;
  std::vector<std::thread> clients;
  clients.reserve(4);
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&metrics, i] {
      LiveTotals totals = some_totals();
      for (int k = 0; k < 50; ++k) {
        totals.events += static_cast<std::uint64_t>(i);
        metrics.text(totals, {});
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(parse(metrics.text(some_totals(), {})).series.at("leakwatch_events_total") == 777 + 50 * 3);
}

TEST_CASE("What leakwatch itself takes is measured") {
  const double before = own_usage().cpu_seconds;
  std::uint64_t work = 1;
  // Work until the clock has seen it: no amount of time is asked for.
  while (own_usage().cpu_seconds - before < 0.02) work = work * 6364136223846793005 + 1;
  CHECK(work != 0);
  CHECK(own_usage().resident_bytes > (std::uint64_t{1} << 20));
}

}  // namespace
}  // namespace leakwatch
