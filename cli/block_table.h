// SPDX-License-Identifier: Apache-2.0
//
// The live blocks of a session: address -> (size, site). Open addressing with linear probing; removal shifts the
// followers back, so there are no tombstones and a table that shrank is as good as new. 24 bytes a place, at most 7/8
// full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace leakwatch {

struct Block {
  std::uint64_t address = 0;  // 0: an empty place; no allocator hands out address 0
  std::uint64_t size = 0;
  std::uint32_t site = 0;
};

class BlockTable {
 public:
  BlockTable() : places_(kFirstPlaces) {}

  std::size_t size() const { return size_; }

  // The address must not be in the table.
  void insert(const Block& block) {
    if ((size_ + 1) * 8 > places_.size() * 7) grow();
    ++size_;
    place(block);
  }

  // Takes the block out; its address is 0 when there was none.
  Block take(std::uint64_t address) {
    if (address == 0) return {};  // it would find an empty place
    std::size_t at = home(address);
    while (places_[at].address != address) {
      if (places_[at].address == 0) return {};
      at = next(at);
    }
    const Block block = places_[at];
    close_gap(at);
    --size_;
    return block;
  }

 private:
  static constexpr std::size_t kFirstPlaces = 1024;

  std::size_t home(std::uint64_t address) const {
    return static_cast<std::size_t>((address * 0x9e3779b97f4a7c15) >> 20) & (places_.size() - 1);
  }
  std::size_t next(std::size_t at) const { return (at + 1) & (places_.size() - 1); }

  void place(const Block& block) {
    std::size_t at = home(block.address);
    while (places_[at].address != 0) at = next(at);
    places_[at] = block;
  }

  // A follower moves into the gap unless its home lies after the gap, going round.
  void close_gap(std::size_t gap) {
    const std::size_t mask = places_.size() - 1;
    for (std::size_t at = next(gap); places_[at].address != 0; at = next(at)) {
      if (((at - home(places_[at].address)) & mask) < ((at - gap) & mask)) continue;
      places_[gap] = places_[at];
      gap = at;
    }
    places_[gap] = {};
  }

  void grow() {
    std::vector<Block> old(places_.size() * 2);
    old.swap(places_);
    for (const Block& block : old) {
      if (block.address != 0) place(block);
    }
  }

  std::vector<Block> places_;
  std::size_t size_ = 0;
};

}  // namespace leakwatch
