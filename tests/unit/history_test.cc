// SPDX-License-Identifier: Apache-2.0
//
// Hours pass here in no time: the clock is the test's.
#include "cli/serve/history.h"

#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/fake_program.h"

namespace leakwatch {
namespace {

using namespace std::chrono_literals;

void tend_each_second(History& history, FakeProgram& program, int seconds) {
  for (int i = 0; i < seconds; ++i) {
    program.pass(1s);
    history.tend(program);
  }
}

std::vector<double> times_of(const std::vector<HeldHeap>& heaps) {
  std::vector<double> times(heaps.size());
  std::transform(heaps.begin(), heaps.end(), times.begin(), [](const HeldHeap& held) { return held.seconds; });
  return times;
}

TEST_CASE("History: nothing is known before the program calls back") {
  FakeProgram program;
  program.program = 0;
  History history(program.clock());
  history.tend(program);
  CHECK(history.view().points.empty());
  CHECK(history.view().totals.time_ns == 0);
  CHECK(history.now().program == 0);
  CHECK(history.heaps().empty());
  CHECK_FALSE(history.at_start().snapshot);
  CHECK_FALSE(history.before(5min).snapshot);
  CHECK(program.heap_looks == 0);
}

TEST_CASE("History: a point has the figures of its second") {
  FakeProgram program;
  program.live = {{110, 500}};
  program.allocated = 900;
  program.waiting = {{{110, 210}, 3}};
  History history(program.clock());
  history.tend(program);
  program.live = {{110, 700}};
  program.allocated = 1900;
  program.pass(1500ms);
  history.tend(program);
  program.pass(250ms);
  const HistoryView view = history.view();
  REQUIRE(view.points.size() == 2);
  CHECK(view.points[0] == HistoryPoint{1, 0, 500, 1 << 20, 3, 900});
  CHECK(view.points[1] == HistoryPoint{2, 1.5, 700, 1 << 20, 3, 1900});
  CHECK(view.totals.heap.inuse_space == 700);
  CHECK(view.seconds == 1.75);
  CHECK(view.last == 2);
}

TEST_CASE("History: who knows some points is told the later ones") {
  FakeProgram program;
  History history(program.clock());
  tend_each_second(history, program, 1000);
  CHECK(history.view(1000).points.empty());
  CHECK(history.view(1001).points.size() == history.view().points.size());  // of another leakwatch at this port
  const HistoryView view = history.view(997);
  REQUIRE(view.points.size() == 3);
  CHECK(view.points[0].number == 998);
  CHECK(view.points[2].number == 1000);
}

TEST_CASE("History: ten minutes are there by the second, and the whole run in a bounded number of points") {
  const int hours = GENERATE(1, 30);
  FakeProgram program;
  History history(program.clock());
  for (int i = 0; i < hours * 3600; ++i) {
    program.allocated += 10;
    tend_each_second(history, program, 1);
  }
  const std::vector<HistoryPoint> points = history.view().points;
  CHECK(points.size() <= History::kRecentPoints + History::kOlderPoints);
  CHECK(points.size() >= History::kRecentPoints + History::kOlderPoints / 2);
  CHECK(points.front().seconds < hours * 3600 / 200.0);
  CHECK(points.back().seconds == hours * 3600 - 1);
  CHECK(points[points.size() - History::kRecentPoints].seconds == hours * 3600 - 600);
  CHECK(
      std::is_sorted(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.seconds < b.seconds; }));
  // Rates stay right however few points are left.
  for (const HistoryPoint& point : points) CHECK(point.allocated_bytes == static_cast<std::int64_t>(point.number) * 10);
}

TEST_CASE("History: a peak of one second is still there after hours") {
  FakeProgram program;
  History history(program.clock());
  program.live = {{110, 100}};
  tend_each_second(history, program, 700);
  program.live = {{110, 5000}};
  program.resident = 9 << 20;
  program.waiting = {{{110, 210}, 77}};
  tend_each_second(history, program, 1);
  program.live = {{110, 100}};
  program.resident = 1 << 20;
  program.waiting = {{{110, 210}, 2}};
  tend_each_second(history, program, 20'000);
  const std::vector<HistoryPoint> points = history.view().points;
  const auto peak = std::max_element(points.begin(), points.end(),
                                     [](const auto& a, const auto& b) { return a.live_bytes < b.live_bytes; });
  CHECK(peak->live_bytes == 5000);
  CHECK(peak->resident_bytes == 9 << 20);
  CHECK(peak->kernel_threads == 77);
  CHECK(std::abs(peak->seconds - 700) < 100);
  CHECK(std::count_if(points.begin(), points.end(), [](const auto& point) { return point.live_bytes == 5000; }) == 1);
}

TEST_CASE("History: heaps are few, the first stays, and one is always five minutes old") {
  FakeProgram program;
  program.live = {{110, 1}};
  History history(program.clock());
  history.tend(program);
  program.live = {{110, 2}};
  for (int second = 1; second <= 2000; ++second) {
    tend_each_second(history, program, 1);
    REQUIRE(history.heaps().size() <= 6);
    if (second < 375) continue;
    const std::vector<double> times = times_of(history.heaps());
    REQUIRE(second - times[1] >= 300);
    REQUIRE(second - times[1] <= 375);
  }
  CHECK(history.heaps().size() >= 5);
  CHECK(program.heap_looks == 1 + 2000 / 75);
  CHECK(total(*history.at_start().snapshot).inuse_space == 1);
}

TEST_CASE("History: the past is the youngest heap that is old enough, else the first") {
  FakeProgram program;
  History history(program.clock());
  history.tend(program);
  const auto age_of = [&](std::chrono::seconds age) {
    const Moment<HeapSnapshot> moment = history.before(age);
    for (const HeldHeap& held : history.heaps())
      if (held.moment.snapshot == moment.snapshot) return history.now().seconds - held.seconds;
    return -1.0;
  };
  tend_each_second(history, program, 100);  // kept: 0, 75
  CHECK(age_of(5min) == 100);
  CHECK(age_of(26s) == 100);
  CHECK(age_of(25s) == 25);
  CHECK(age_of(0s) == 25);
  tend_each_second(history, program, 300);  // now also: 150, 225, 300, 375
  CHECK(age_of(5min) == 325);
  CHECK(age_of(1min) == 100);
  CHECK(age_of(24h) == 400);
}

TEST_CASE("History: another program in the same process has a history of its own") {
  FakeProgram program;
  program.live = {{110, 1}};
  History history(program.clock());
  tend_each_second(history, program, 200);
  program.program = 2;
  program.live = {{110, 7}};
  tend_each_second(history, program, 1);
  const HistoryView view = history.view();
  REQUIRE(view.points.size() == 1);
  CHECK(view.points[0].seconds == 0);
  CHECK(view.points[0].number == 201);
  CHECK(history.heaps().size() == 1);
  CHECK(total(*history.at_start().snapshot).inuse_space == 7);
  CHECK(history.view(200).points.size() == 1);
}

TEST_CASE("History: a heap of the next program is not kept as one of this") {
  FakeProgram program;
  program.program_of_looks = 2;
  History history(program.clock());
  tend_each_second(history, program, 1);
  CHECK(history.heaps().empty());
  program.program = 2;
  tend_each_second(history, program, 1);
  CHECK(history.heaps().size() == 1);
}

}  // namespace
}  // namespace leakwatch
