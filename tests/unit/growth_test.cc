// SPDX-License-Identifier: Apache-2.0

#include "cli/serve/growth.h"

#include <algorithm>
#include <cmath>
#include <latch>
#include <thread>

#include "tests/unit/catch.h"
#include "tests/unit/fake_program.h"

namespace leakwatch {
namespace {

using namespace std::chrono_literals;

bool is_near(std::optional<double> number, double expected) {
  return number && std::abs(*number - expected) < 1e-6 * std::abs(expected);
}

struct Watched {
  FakeProgram program;
  History history{program.clock()};
  Growth growth{program, history};

  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      program.pass(1s);
      history.tend(program);
    }
  }
};

TEST_CASE("Growth: nobody has called back yet") {
  Watched watched;
  watched.program.program = 0;
  watched.history.tend(watched.program);
  CHECK(watched.growth.report()->program == 0);
  CHECK(watched.program.heap_looks == 0);
  CHECK(watched.program.thread_looks == 0);
}

TEST_CASE("Growth: a site has its place, its live heap, its growth since the start and its slope") {
  Watched watched;
  watched.program.live = {{110, 1000}, {220, 5000}};
  watched.history.tend(watched.program);
  watched.pass(30);
  watched.program.live = {{110, 3000}, {220, 5000}};
  const auto report = watched.growth.report();
  CHECK(report->program == 1);
  CHECK(report->heap_since == 0);
  REQUIRE(report->sites.size() == 1);  // the other has not grown
  CHECK(report->sites[0].function == "f1");
  CHECK(report->sites[0].location == "a.cc:110");
  CHECK(report->sites[0].live_bytes == 3000);
  CHECK(report->sites[0].live_blocks == 300);
  CHECK(report->sites[0].grown_bytes == 2000);
  CHECK(is_near(report->sites[0].bytes_per_minute, 4000));
  CHECK(report->heap_times == std::vector<double>{0, 30});
  CHECK(report->sites[0].trend == std::vector<std::int64_t>{1000, 3000});
}

TEST_CASE("Growth: who comes late sees what was kept meanwhile") {
  Watched watched;
  watched.program.live = {{110, 0}};
  watched.history.tend(watched.program);
  for (int i = 0; i < 300; ++i) {
    watched.program.live[110] += 100;
    watched.pass(1);
  }
  const auto report = watched.growth.report();
  CHECK(report->heap_times == std::vector<double>{0, 75, 150, 225, 300});
  REQUIRE(report->sites.size() == 1);
  CHECK(report->sites[0].trend == std::vector<std::int64_t>{0, 7500, 15'000, 22'500, 30'000});
  CHECK(is_near(report->sites[0].bytes_per_minute, 6000));
}

TEST_CASE("Growth: looks are far apart, however often somebody asks") {
  Watched watched;
  watched.history.tend(watched.program);
  for (int i = 0; i < 50; ++i) watched.growth.report();
  CHECK(watched.program.thread_looks == 1);
  CHECK(watched.program.heap_looks == 2);  // one by the history
  watched.program.pass(4900ms);
  watched.growth.report();
  CHECK(watched.program.thread_looks == 1);
  watched.program.pass(200ms);
  watched.growth.report();
  CHECK(watched.program.thread_looks == 2);
}

TEST_CASE("Growth: looks that take long are rare") {
  Watched watched;
  watched.history.tend(watched.program);
  watched.program.look_takes = 2s;
  watched.growth.report();
  watched.program.pass(35s);
  watched.growth.report();
  CHECK(watched.program.thread_looks == 1);
  watched.program.pass(3s);
  watched.growth.report();
  CHECK(watched.program.thread_looks == 2);
}

TEST_CASE("Growth: threads are not looked at when nobody asks") {
  Watched watched;
  watched.pass(1000);
  CHECK(watched.program.thread_looks == 0);
}

TEST_CASE("Growth: groups of threads, those that grow first, with what was said of them") {
  Watched watched;
  watched.program.waiting = {{{110, 210}, 8}, {{310, 410}, 2}};
  watched.program.notes = {"Not permitted."};
  watched.pass(10);
  const auto before = watched.growth.report();
  REQUIRE(before->groups.size() == 2);
  CHECK(before->groups[0].threads == 8);
  CHECK(before->groups[0].grown == 0);
  CHECK_FALSE(before->groups[0].per_minute);
  watched.program.waiting = {{{110, 210}, 8}, {{310, 410}, 5}};
  watched.pass(30);
  const auto report = watched.growth.report();
  REQUIRE(report->groups.size() == 2);
  CHECK(report->groups[0].place == "f3 a.cc:310");
  CHECK(report->groups[0].creator == "f4 a.cc:410");
  CHECK(report->groups[0].state == "futex wait");
  CHECK(report->groups[0].threads == 5);
  CHECK(report->groups[0].grown == 3);
  CHECK(is_near(report->groups[0].per_minute, 6));
  CHECK(report->groups[0].trend == std::vector<std::int64_t>{2, 5});
  CHECK(report->groups[1].grown == 0);
  CHECK(report->threads_since == 9);
  CHECK(report->notes == std::vector<std::string>{"Not permitted."});
}

TEST_CASE("Growth: what grows fastest is told beside what grew most, and what shrinks is not") {
  Watched watched;
  watched.pass(1);
  for (std::uint64_t i = 1; i <= 20; ++i) watched.program.live[i * 100] = 1'000'000 + static_cast<std::int64_t>(i);
  watched.program.live[5000] = 10'000'000;
  watched.pass(600);  // big and quiet by now
  watched.growth.report();
  watched.program.live[9900] = 5000;       // small and new
  watched.program.live[5000] = 9'000'000;  // has grown since the start, shrinks now
  watched.pass(60);
  const auto report = watched.growth.report();
  const auto has = [&](const char* function) {
    return std::any_of(report->sites.begin(), report->sites.end(),
                       [&](const SiteGrowth& site) { return site.function == function; });
  };
  CHECK(report->sites.size() == 13);
  CHECK(report->sites[0].function == "f50");
  CHECK(*report->sites[0].bytes_per_minute < 0);
  CHECK(has("f99"));
  CHECK(has("f20"));
  CHECK_FALSE(has("f1"));
  watched.program.live[200] = 0;
  watched.program.live[100] = 1;
  watched.pass(10);
  for (const SiteGrowth& site : watched.growth.report()->sites) CHECK(site.grown_bytes > 0);
}

TEST_CASE("Growth: another program begins anew, and figures of the two are never mixed") {
  Watched watched;
  watched.program.live = {{110, 1000}};
  watched.pass(100);
  watched.growth.report();
  watched.program.program_of_looks = 2;  // executed, and the history does not know yet
  watched.program.live = {{110, 50}};
  watched.program.pass(10s);
  CHECK(watched.growth.report()->heap_times.back() < 100);
  watched.program.program = 2;
  watched.pass(1);
  watched.program.live = {{110, 80}};
  watched.pass(10);
  const auto report = watched.growth.report();
  CHECK(report->program == 2);
  REQUIRE(report->sites.size() == 1);
  CHECK(report->sites[0].grown_bytes == 30);
  CHECK(report->heap_times == std::vector<double>{0, 10});
}

// A program whose look at the heap takes until the test lets it end.
class SlowProgram : public FakeProgram {
 public:
  std::latch under_way{1}, go_on{1};
  Moment<HeapSnapshot> heap() override {
    if (heap_looks == 1) {
      under_way.count_down();
      go_on.wait();
    }
    return FakeProgram::heap();
  }
};

TEST_CASE("Growth: who asks during a look gets what is known, and does not wait") {
  SlowProgram program;
  History history(program.clock());
  Growth growth(program, history);
  history.tend(program);
  std::shared_ptr<const GrowthReport> first;
  std::thread asking([&] { first = growth.report(); });
  program.under_way.wait();
  CHECK(growth.report()->program == 0);
  program.go_on.count_down();
  asking.join();
  CHECK(first->program == 1);
}

}  // namespace
}  // namespace leakwatch
