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
  // What is compared. A row that has ended comes after all numbers.
  using Rank = std::uint64_t;
  static constexpr Rank kEnded = std::numeric_limits<std::uint64_t>::max();
  static Rank rank_of(std::uint64_t number) { return std::min(number, kEnded - 2) + 1; }

  // The first of each row. Rows are known by their place here.
  void begin(const std::vector<Rank>& ranks) {
    const std::size_t leaves = std::bit_ceil(std::max<std::size_t>(ranks.size(), 1));
    losers_.assign(leaves, {kNotPlayed, 0});
    for (std::size_t row = 0; row < leaves; ++row) play(row < ranks.size() ? ranks[row] : kEnded, row);
  }

  bool is_over() const { return best_ == kEnded; }  // all rows have ended
  std::size_t winner() const { return winner_; }    // of equal ones, any

  // The next of the winner's row.
  void replace(Rank rank) { play(rank, winner_); }

 private:
  // While a tree is begun, what has not been played loses against nobody, and so leaves the tree at its top.
  static constexpr Rank kNotPlayed = 0;

  struct Player {
    Rank rank;
    std::uint64_t row;
  };

  void play(Rank rank, std::uint64_t row) {
    Player* const losers = losers_.data();
    for (std::size_t node = (losers_.size() + row) / 2; node > 0; node /= 2) {
      const Player other = losers[node];
      const std::uint64_t swap = -static_cast<std::uint64_t>(other.rank < rank);  // all bits or none
      const std::uint64_t other_rank = (other.rank ^ rank) & swap, other_row = (other.row ^ row) & swap;
      losers[node] = {other.rank ^ other_rank, other.row ^ other_row};
      rank ^= other_rank;
      row ^= other_row;
    }
    best_ = rank;
    winner_ = row;
  }

  // Of node 1, the root, and on; the children of node n are 2n and 2n + 1.
  std::vector<Player> losers_;
  Rank best_ = kEnded;
  std::uint64_t winner_ = 0;
};

}  // namespace leakwatch
