// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/base/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <vector>

#include "cli/base/error.h"

namespace leakwatch {

namespace {

std::uint64_t magnitude(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return number < 0 ? 0 - bits : bits;
}

struct Unit {
  std::string_view name;  // lower case
  double factor;
};

// A number and a unit; `wanted` says how it should look.
double parse_quantity(std::string_view text, const std::vector<Unit>& units, std::string_view wanted) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto found = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == unit; });
  if (error != std::errc() || found == units.end() || !std::isfinite(number) || number < 0)
    throw Error(fmt::format("'{}' is not {}.", text, wanted));
  return number * found->factor;
}

constexpr double kKi = 1024;

}  // namespace

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // What would be rounded to 1024 is one of the next unit.
  for (; amount >= 1023.5 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  const int decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", amount, decimals, kUnits[unit]);
}

std::string format_bytes(std::int64_t bytes) {
  return (bytes < 0 ? "-" : "") + format_size(magnitude(bytes));
}

std::string format_change(std::int64_t bytes) {
  return (bytes < 0 ? "-" : "+") + format_size(magnitude(bytes));
}

std::string format_count(std::int64_t number, std::string_view noun) {
  std::string text = fmt::format("{}", magnitude(number));
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, 1, ',');
  if (number < 0) text.insert(0, 1, '-');
  if (!noun.empty()) text += fmt::format(" {}{}", noun, number == 1 ? "" : "s");
  return text;
}

std::string format_share(double share) {
  constexpr double kLeast = 0.001;
  const double percent = share * 100;
  if (percent > 0 && percent < kLeast) return fmt::format("<{}%", kLeast);
  const int decimals = percent >= 10 ? 0 : percent >= 0.1 ? 2 : 3;
  return fmt::format("{:.{}f}%", percent, decimals);
}

std::uint64_t parse_size(std::string_view text) {
  static const std::vector<Unit> units = {{"", 1},
                                          {"b", 1},
                                          {"k", kKi},
                                          {"kb", kKi},
                                          {"kib", kKi},
                                          {"m", kKi * kKi},
                                          {"mb", kKi * kKi},
                                          {"mib", kKi * kKi},
                                          {"g", kKi * kKi * kKi},
                                          {"gb", kKi * kKi * kKi},
                                          {"gib", kKi * kKi * kKi}};
  const double bytes = parse_quantity(text, units, "a size such as 64KiB or 1MiB");
  if (bytes > 0x1p40) throw Error(fmt::format("'{}' is more than 1024 GiB", text));
  return static_cast<std::uint64_t>(std::llround(bytes));
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  static const std::vector<Unit> units = {{"", 1e3},     {"ms", 1},     {"s", 1e3},    {"m", 60e3},
                                          {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
  const double milliseconds = parse_quantity(text, units, "a time such as 30s, 5m or 500ms");
  if (milliseconds > 366 * 86400e3) throw Error(fmt::format("'{}' is more than a year", text));
  return std::chrono::milliseconds(std::llround(milliseconds));
}

double parse_percentage(std::string_view text) {
  static const std::vector<Unit> units = {{"", 0.01}, {"%", 0.01}};
  const double share = parse_quantity(text, units, "a percentage such as 1% or 0.5%");
  if (share <= 0 || share > 1) throw Error(fmt::format("'{}' is not above 0% and at most 100%", text));
  return share;
}

}  // namespace leakwatch
