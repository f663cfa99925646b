// SPDX-License-Identifier: Apache-2.0
//
// Figures of many named things, measured again and again: what each has grown by since the first time, and how fast it
// grows now. Pure. Bounded by the number of things that are not zero in the window or were not at first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace leakwatch {

class TrendTable {
 public:
  using Key = std::pair<std::string, std::string>;
  using Values = std::map<Key, std::int64_t>;

  struct Trend {
    Key key;
    std::int64_t now = 0;
    std::int64_t grown = 0;            // since the first measurement
    std::optional<double> per_minute;  // slope of the line that fits the window best; none of a single measurement
  };

  explicit TrendTable(double window_seconds) : window_seconds_(window_seconds) {}

  // What is not named is zero. `seconds` must rise from call to call; one that does not is left out.
  void add(double seconds, const Values& values);

  // Of all that is not zero now, in the order of their keys.
  std::vector<Trend> trends() const;

  // The measurements of the window, oldest first; the latter are of one thing, all zero when it is not known.
  std::vector<double> times() const { return {times_.begin(), times_.end()}; }
  std::vector<std::int64_t> values(const Key& key) const;

  std::size_t size() const { return rows_.size(); }
  // Of the first measurement of all, and of the last.
  std::optional<double> first_time() const { return first_time_; }
  std::optional<double> last_time() const { return times_.empty() ? std::nullopt : std::optional(times_.back()); }

 private:
  struct Row {
    std::int64_t first = 0;
    std::deque<std::int64_t> values;  // at times_
  };
  void drop_oldest();
  std::optional<double> per_minute(const Row& row) const;

  double window_seconds_;
  std::optional<double> first_time_;
  std::deque<double> times_;
  std::map<Key, Row> rows_;
};

}  // namespace leakwatch
