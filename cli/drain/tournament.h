// SPDX-License-Identifier: Apache-2.0
//
// Which of many rising rows of numbers goes on with the smallest: a tree of losers. Each inner node keeps the loser of
// its match, so that when the winner's row goes on, only the matches on its way from the leaf to the root are played
// again: one for each doubling of the rows, and none of them a branch that the processor could guess wrong. A player is
// its number and, in the lowest bits, its row: one word, of which a match keeps the larger.
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
  static constexpr int kRowBits = 12;
  static constexpr std::size_t kMostRows = std::size_t{1} << kRowBits;
  // What comes after all numbers, which are smaller. Rows that end give this.
  static constexpr std::uint64_t kEnded = std::numeric_limits<std::uint64_t>::max() >> kRowBits;

  // The first of each row. Rows are known by their place here.
  void begin(const std::vector<std::uint64_t>& numbers) {
    const std::size_t leaves = std::bit_ceil(std::max<std::size_t>(numbers.size(), 1));
    // While a tree is begun, what has not been played loses against nobody, and so leaves the tree at its top.
    losers_.assign(leaves, 0);
    for (std::size_t row = 0; row < leaves; ++row) play(row < numbers.size() ? numbers[row] : kEnded, row);
  }

  bool is_over() const { return winner_ >> kRowBits == kEnded; }    // all rows have ended
  std::size_t winner() const { return winner_ & (kMostRows - 1); }  // of equal ones, the first row

  // The next of the winner's row.
  void replace(std::uint64_t number) { play(number, winner()); }

 private:
  void play(std::uint64_t number, std::size_t row) {
    std::uint64_t player = number << kRowBits | row;
    for (std::size_t node = (losers_.size() + row) / 2; node > 0; node /= 2) {
      const std::uint64_t other = losers_[node];
      // The larger stays. Compilers make a branch of it when both are chosen.
      const std::uint64_t both = other ^ player;
      player = std::min(other, player);
      losers_[node] = both ^ player;
    }
    winner_ = player;
  }

  // Of node 1, the root, and on; the children of node n are 2n and 2n + 1.
  std::vector<std::uint64_t> losers_;
  std::uint64_t winner_ = kEnded << kRowBits;
};

}  // namespace leakwatch
