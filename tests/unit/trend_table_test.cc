// SPDX-License-Identifier: Apache-2.0

#include "cli/serve/trend_table.h"

#include <algorithm>
#include <cmath>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

const TrendTable::Key kA{"a", "1"}, kB{"b", "1"}, kC{"c", "1"};

TrendTable::Trend trend_of(const TrendTable& table, const TrendTable::Key& key) {
  for (const TrendTable::Trend& trend : table.trends())
    if (trend.key == key) return trend;
  FAIL("there is no such trend");
  return {};
}

bool is_near(std::optional<double> number, double expected) {
  return number && std::abs(*number - expected) < 1e-6 * std::max(1.0, std::abs(expected));
}

TEST_CASE("TrendTable: growth counts from the first measurement, and what came later began at zero") {
  TrendTable table(100);
  CHECK(table.trends().empty());
  CHECK_FALSE(table.first_time());
  table.add(0, {{kA, 10}, {kB, 5}});
  CHECK(trend_of(table, kA).grown == 0);
  CHECK_FALSE(trend_of(table, kA).per_minute);
  table.add(60, {{kA, 40}, {kC, 7}});
  CHECK(trend_of(table, kA).now == 40);
  CHECK(trend_of(table, kA).grown == 30);
  CHECK(trend_of(table, kC).grown == 7);
  CHECK(table.trends().size() == 2);  // nothing is left of b
  table.add(90, {{kB, 4}});
  CHECK(trend_of(table, kB).grown == -1);
  CHECK(table.first_time() == 0);
  CHECK(table.last_time() == 90);
}

TEST_CASE("TrendTable: the slope is that of the best line through the window") {
  TrendTable table(300);
  for (int i = 0; i <= 10; ++i) table.add(i * 6, {{kA, 100 + i * 20}, {kB, i % 2 == 0 ? 50 : 60}, {kC, 1000 - i}});
  CHECK(is_near(trend_of(table, kA).per_minute, 200));
  CHECK(is_near(trend_of(table, kB).per_minute, 0));
  CHECK(is_near(trend_of(table, kC).per_minute, -10));
}

TEST_CASE("TrendTable: one wild measurement is not the slope") {
  TrendTable table(300);
  for (int i = 0; i < 20; ++i) table.add(i * 3, {{kA, i == 10 ? 5000 : 1000}});
  CHECK(std::abs(*trend_of(table, kA).per_minute) < 500);
}

TEST_CASE("TrendTable: what is older than the window counts for growth alone") {
  TrendTable table(100);
  table.add(0, {{kA, 1}});
  table.add(50, {{kA, 1000}});
  table.add(150, {{kA, 1000}});
  table.add(151, {{kA, 1000}});
  CHECK(table.times() == std::vector<double>{150, 151});
  CHECK(table.values(kA) == std::vector<std::int64_t>{1000, 1000});
  CHECK(is_near(trend_of(table, kA).per_minute, 0));
  CHECK(trend_of(table, kA).grown == 999);
}

TEST_CASE("TrendTable: two measurements stay, however far apart") {
  TrendTable table(100);
  table.add(0, {{kA, 100}});
  table.add(6000, {{kA, 300}});
  CHECK(is_near(trend_of(table, kA).per_minute, 2));
}

TEST_CASE("TrendTable: values stand at their times, zero where there was nothing") {
  TrendTable table(100);
  table.add(1, {{kA, 1}});
  table.add(2, {{kA, 2}, {kB, 20}});
  table.add(3, {{kB, 30}});
  CHECK(table.values(kA) == std::vector<std::int64_t>{1, 2, 0});
  CHECK(table.values(kB) == std::vector<std::int64_t>{0, 20, 30});
  CHECK(table.values(kC) == std::vector<std::int64_t>{0, 0, 0});
}

TEST_CASE("TrendTable: things that came and went are forgotten with the window, those of the start are not") {
  TrendTable table(10);
  table.add(0, {{kA, 5}});
  for (int i = 1; i < 1000; ++i) table.add(i, {{{"short", std::to_string(i)}, 1}});
  CHECK(table.size() <= 13);
  table.add(1000, {{kA, 9}});
  CHECK(trend_of(table, kA).grown == 4);
}

TEST_CASE("TrendTable: time does not go back") {
  TrendTable table(10);
  table.add(5, {{kA, 5}});
  table.add(5, {{kA, 6}});
  table.add(4, {{kA, 7}});
  CHECK(table.times() == std::vector<double>{5});
  CHECK(trend_of(table, kA).now == 5);
}

}  // namespace
}  // namespace leakwatch
