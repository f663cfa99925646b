// SPDX-License-Identifier: Apache-2.0
//
// Which of many rising rows of numbers goes on with the smallest: a tree of losers. Each inner node keeps the loser of
// its match, so that when the winner's row goes on, only the matches on its way from the leaf to the root are played
// again: one for each doubling of the rows, and none of them a branch that the processor could guess wrong.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace leakwatch {

class Tournament {
 public:
  // The first number of each row. Rows are known by their place here.
  void begin(const std::vector<std::uint64_t>& numbers) {
    const std::size_t leaves = std::bit_ceil(std::max<std::size_t>(numbers.size(), 1));
    numbers_.assign(leaves, kNotPlayed);
    rows_.assign(leaves, 0);
    for (std::size_t row = 0; row < leaves; ++row) play(row < numbers.size() ? ranked(numbers[row]) : kEnded, row);
  }

  bool is_over() const { return best_ == kEnded; }  // all rows have ended
  std::size_t winner() const { return winner_; }    // of equal ones, any

  // The next number of the winner's row.
  void replace(std::uint64_t number) { play(ranked(number), winner_); }
  void retire() { play(kEnded, winner_); }

 private:
  // While a tree is begun, what has not been played loses against nobody, and so leaves the tree at its top.
  static constexpr std::uint64_t kNotPlayed = 0;
  static constexpr std::uint64_t kEnded = std::numeric_limits<std::uint64_t>::max();
  static std::uint64_t ranked(std::uint64_t number) { return std::min(number, kEnded - 2) + 1; }

  void play(std::uint64_t number, std::uint64_t row) {
    for (std::size_t node = (numbers_.size() + row) / 2; node > 0; node /= 2) {
      const std::uint64_t swap = -static_cast<std::uint64_t>(numbers_[node] < number);  // all bits or none
      const std::uint64_t other_number = (numbers_[node] ^ number) & swap, other_row = (rows_[node] ^ row) & swap;
      numbers_[node] ^= other_number;
      rows_[node] ^= other_row;
      number ^= other_number;
      row ^= other_row;
    }
    best_ = number;
    winner_ = row;
  }

  // The losers, of node 1, the root, and on; the children of node n are 2n and 2n + 1.
  std::vector<std::uint64_t> numbers_, rows_;
  std::uint64_t best_ = kEnded, winner_ = 0;
};

}  // namespace leakwatch
