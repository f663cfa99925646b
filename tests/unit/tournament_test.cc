// SPDX-License-Identifier: Apache-2.0
//
// The tournament against a plain search for the smallest, over rows of every number and length.
#include "cli/drain/tournament.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using Rows = std::vector<std::vector<std::uint64_t>>;

// All numbers as they come out of the tournament; stops when it takes more steps than there are numbers.
std::vector<std::uint64_t> merged(const Rows& rows) {
  std::vector<std::uint64_t> firsts;
  std::size_t count = 0;
  for (const auto& row : rows) {
    firsts.push_back(row.front());
    count += row.size();
  }
  Tournament tournament;
  tournament.begin(firsts);
  std::vector<std::size_t> next(rows.size(), 0);
  std::vector<std::uint64_t> result;
  while (!tournament.is_over() && result.size() <= count) {
    const std::size_t row = tournament.winner();
    result.push_back(rows.at(row).at(next[row]++));
    const bool goes_on = next[row] < rows[row].size();
    tournament.replace(goes_on ? rows[row][next[row]] : Tournament::kEnded);
  }
  return result;
}

std::vector<std::uint64_t> sorted(const Rows& rows) {
  std::vector<std::uint64_t> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  std::sort(all.begin(), all.end());
  return all;
}

TEST_CASE("a tournament merges rows of any number and length") {
  std::mt19937_64 random(1);
  for (std::size_t count = 0; count <= 40; ++count) {
    Rows rows(count);
    for (auto& row : rows) {
      row.resize(1 + random() % 20);
      for (std::uint64_t& number : row) number = random() % 50;  // many are equal
      std::sort(row.begin(), row.end());
    }
    INFO(count << " rows");
    CHECK(merged(rows) == sorted(rows));
  }
}

TEST_CASE("a tournament knows the smallest and the largest number") {
  constexpr std::uint64_t kLargest = Tournament::kEnded - 1;
  const Rows rows = {{0, 0, kLargest}, {0, kLargest}, {kLargest}, {0}};
  CHECK(merged(rows) == sorted(rows));
}

// The clock of overwritten memory may go back. Whatever then comes first, each number comes once.
TEST_CASE("a tournament of rows that do not rise loses none of their numbers") {
  std::mt19937_64 random(2);
  Rows rows(7);
  for (auto& row : rows) {
    row.resize(1 + random() % 30);
    for (std::uint64_t& number : row) number = random() % Tournament::kEnded;
  }
  std::vector<std::uint64_t> all = merged(rows);
  std::sort(all.begin(), all.end());
  CHECK(all == sorted(rows));
}

}  // namespace
}  // namespace leakwatch
