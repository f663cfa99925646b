// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/serve/trend_table.h"

#include <algorithm>
#include <iterator>

namespace leakwatch {

namespace {

// Two measurements always stay, however far apart they are.
constexpr std::size_t kFewest = 2;
constexpr double kSecondsInMinute = 60;

// By least squares.
double slope(const std::deque<double>& x, const std::deque<std::int64_t>& y) {
  const auto count = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    mean_x += x[i] / count;
    mean_y += static_cast<double>(y[i]) / count;
  }
  double products = 0, squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    products += (x[i] - mean_x) * (static_cast<double>(y[i]) - mean_y);
    squares += (x[i] - mean_x) * (x[i] - mean_x);
  }
  return products / squares;
}

}  // namespace

void TrendTable::add(double seconds, const Values& values) {
  if (!times_.empty() && seconds <= times_.back()) return;
  const bool is_first = !first_time_;
  if (is_first) first_time_ = seconds;
  for (const auto& [key, value] : values) {
    const auto [place, is_new] = rows_.try_emplace(key);
    Row& row = place->second;
    if (is_new) row.values.resize(times_.size());
    if (is_first) row.first = value;
    row.values.push_back(value);
  }
  times_.push_back(seconds);
  for (auto& [key, row] : rows_) row.values.resize(times_.size());
  while (times_.size() > kFewest && times_.front() < seconds - window_seconds_) drop_oldest();
}

void TrendTable::drop_oldest() {
  times_.pop_front();
  for (auto& [key, row] : rows_) row.values.pop_front();
  const auto is_zero = [](std::int64_t value) { return value == 0; };
  std::erase_if(rows_, [&is_zero](const auto& entry) {
    const Row& row = entry.second;
    return row.first == 0 && std::all_of(row.values.begin(), row.values.end(), is_zero);
  });
}

std::vector<TrendTable::Trend> TrendTable::trends() const {
  std::vector<Trend> all;
  for (const auto& [key, row] : rows_) {
    const std::int64_t now = row.values.back();
    if (now != 0) all.push_back({key, now, now - row.first, per_minute(row)});
  }
  return all;
}

std::optional<double> TrendTable::per_minute(const Row& row) const {
  if (times_.size() < kFewest) return std::nullopt;
  return slope(times_, row.values) * kSecondsInMinute;
}

std::vector<std::int64_t> TrendTable::values(const Key& key) const {
  const auto row = rows_.find(key);
  if (row == rows_.end()) return std::vector<std::int64_t>(times_.size());
  return {row->second.values.begin(), row->second.values.end()};
}

}  // namespace leakwatch
