// SPDX-License-Identifier: Apache-2.0
//
// The live blocks of a session: address -> (size, part of a site), 16 bytes a place. See segmented_table.h. A size has
// 40 bits there; the few blocks that are larger have theirs beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "cli/segmented_table.h"

namespace leakwatch {

struct Block {
  std::uint64_t address = 0;  // at most 56 bits; 0: none, as no allocator hands out address 0
  std::uint64_t size = 0;
  std::uint32_t part = 0;  // see heap_state.h
};

class BlockTable {
 public:
  std::size_t size() const { return table_.size(); }

  // For prefetch(), put() and take() of the address.
  static std::uint64_t hash_of(std::uint64_t address) { return SegmentedTable::hash_of(address); }

  // See segmented_table.h.
  [[gnu::always_inline]] const SegmentedTable::Bucket* prefetch(std::uint64_t hash) const {
    return table_.prefetch(hash);
  }

  // Returns the block that stood there before; its address is 0 when there was none. The block's own is not 0.
  Block put(const Block& block) { return put(block, hash_of(block.address)); }
  Block put(const Block& block, std::uint64_t hash) {
    const std::uint64_t size = block.size < kHuge ? block.size : kHuge;
    const SegmentedTable::Place place{block.address << 8 | size >> 32, size << 32 | block.part};
    const SegmentedTable::Place before = table_.put(place, hash);
    Block old{};
    if (before.head != 0) [[unlikely]]
      old = unpacked(before);
    if (size == kHuge) [[unlikely]]
      huge_sizes_[block.address] = block.size;
    return old;
  }

  // Takes the block out; its address is 0 when there was none.
  Block take(std::uint64_t address) { return take(address, hash_of(address)); }
  Block take(std::uint64_t address, std::uint64_t hash) {
    if (address == 0) [[unlikely]]
      return {};  // it would find an empty place
    return unpacked(table_.take(address, hash));
  }

 private:
  static constexpr std::uint64_t kHuge = (std::uint64_t{1} << 40) - 1;  // this size and larger ones

  // Of a place that is no longer in the table.
  Block unpacked(const SegmentedTable::Place& place) {
    const std::uint64_t size = (place.head & 0xff) << 32 | place.tail >> 32;
    Block block{place.key(), size, static_cast<std::uint32_t>(place.tail)};
    if (size == kHuge) [[unlikely]]
      block.size = huge_sizes_.extract(block.address).mapped();
    return block;
  }

  SegmentedTable table_;
  std::map<std::uint64_t, std::uint64_t> huge_sizes_;  // address -> size
};

}  // namespace leakwatch
