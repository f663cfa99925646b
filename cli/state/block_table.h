// SPDX-License-Identifier: Apache-2.0
//
// The live blocks of a session: address -> (size, part of a site), 16 bytes a place. See segmented_table.h. A size has
// 32 bits there; the few blocks that are larger (there is address space for some ten thousand) have theirs beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "cli/state/segmented_table.h"

namespace leakwatch {

struct Block {
  std::uint64_t address = 0;  // at most 56 bits; 0: none, as no allocator hands out address 0
  std::uint64_t size = 0;
  std::uint32_t part = 0;  // see heap_state.h
};

class BlockTable {
 public:
  using Home = SegmentedTable::Bucket*;

  std::size_t size() const { return table_.size(); }

  static std::uint64_t hash_of(std::uint64_t address) { return SegmentedTable::hash_of(address); }

  // Where an address belongs, for prefetching, put() and take(); until more blocks were put than room was made for.
  // Making room is true when it made homes others than they were.
  bool make_room(std::size_t blocks) { return table_.make_room(blocks); }
  [[gnu::always_inline]] Home home(std::uint64_t address) const { return table_.home(hash_of(address)); }
  [[gnu::always_inline]] static void prefetch(Home home) { SegmentedTable::prefetch(home); }
  [[gnu::always_inline]] static bool prefetch_next(Home home) { return SegmentedTable::prefetch_next(home); }
  [[gnu::always_inline]] void prefetch_after_next(Home home) const { table_.prefetch_after_next(home); }
  // The part of the address's block, if there is one at its home; any number if not.
  static std::uint32_t likely_part(Home home, std::uint64_t address) {
    return static_cast<std::uint32_t>(SegmentedTable::likely_value(home, address));
  }

  // Returns the block that stood there before; its address is 0 when there was none. The block's own is not 0.
  Block put(const Block& block, Home home) {
    const std::uint64_t size = block.size < kHuge ? block.size : kHuge;
    const SegmentedTable::Place before = table_.put_at(home, {block.address << 8, size << 32 | block.part});
    Block old{};
    if (before.head != 0) [[unlikely]]
      old = unpacked(before);
    if (size == kHuge) [[unlikely]]
      huge_sizes_[block.address] = block.size;
    return old;
  }

  // Takes the block out; its address is 0 when there was none.
  Block take(std::uint64_t address, Home home) {
    if (address == 0) [[unlikely]]
      return {};  // it would find an empty place
    return unpacked(table_.take_at(home, address));
  }
  // One of the two, without a branch on which of them; a block that is taken is put into `block`. False, and nothing is
  // done, when it is not one of the most frequent cases.
  bool put_or_take(Block& block, Home home, bool is_put) {
    if ((block.address == 0) | (is_put & (block.size >= kHuge))) [[unlikely]]
      return false;
    SegmentedTable::Place place{block.address << 8, block.size << 32 | block.part};
    if (!table_.put_or_take_at(home, place, is_put)) [[unlikely]]
      return false;
    block = unpacked(place);
    return true;
  }

 private:
  static constexpr std::uint64_t kHuge = (std::uint64_t{1} << 32) - 1;  // this size and larger ones

  // Of a place that is no longer in the table, or whose size is none of the huge ones.
  Block unpacked(const SegmentedTable::Place& place) {
    Block block{place.key(), place.tail >> 32, static_cast<std::uint32_t>(place.tail)};
    if (block.size == kHuge) [[unlikely]]
      block.size = huge_sizes_.extract(block.address).mapped();
    return block;
  }

  SegmentedTable table_;
  std::map<std::uint64_t, std::uint64_t> huge_sizes_;  // address -> size
};

}  // namespace leakwatch
