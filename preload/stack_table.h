// SPDX-License-Identifier: Apache-2.0
//
// Stacks become ids here: the offset of an append-only entry in the shared memory, the same for the same addresses and
// module epoch. The entries are the reader's to see; the index that finds them is private to the target.
//
// Lock-free. An entry is written first and named by one compare-and-swap of the index afterwards, so a thread that dies
// in the middle leaves only a hole. The index is a row of tables, each four times the one before, so that a program
// with few stacks touches few pages; an entry goes into the first table that has room near its place. An index word is
// the upper 32 bits of the stack's hash above the entry's offset: most strangers are told apart without a look at the
// entry, and a match is always confirmed word for word.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/stack_hash.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

class StackTable {
 public:
  static constexpr std::size_t kFirstTable = 4096;
  static constexpr std::size_t kTables = 6;  // 4096 * (4^6 - 1) / 3 = 5.6 million places
  static constexpr std::size_t kIndexBytes = kFirstTable * ((1u << (2 * kTables)) - 1) / 3 * sizeof(std::uint64_t);

  // `index` is kIndexBytes of zeroes, reserved and not yet open.
  void start(shared::Header* header, std::uint64_t* index);

  static std::uint64_t hash_of(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch);

  // The id of the stack, or shared::kNoStack when it is not there; `hash` is its hash.
  std::uint64_t find(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch,
                     std::uint64_t hash) const;

  // The id of the stack, or shared::kNoStack when there is no room.
  std::uint64_t find_or_add(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch);

  // A number that says how the stack was last walked: remembered_walks.h. 0 at first.
  std::uint32_t layout_of(std::uint64_t id) const { return layout_word(id).load(std::memory_order_relaxed); }
  void set_layout(std::uint64_t id, std::uint32_t layout) {
    if (layout_of(id) != layout) layout_word(id).store(layout, std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kProbes = 8;  // one cache line
  static constexpr std::uint64_t kOffsetMask = 0xffffffff;

  std::atomic_ref<std::uint32_t> layout_word(std::uint64_t id) const {
    return std::atomic_ref<std::uint32_t>(reinterpret_cast<shared::StackHeader*>(entries_ + id)->writers_note);
  }

  std::uint64_t add(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch);
  bool matches(std::uint64_t id, const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch) const;

  bool open_entries_until(std::uint64_t offset);
  bool open_table(std::size_t number, const std::uint64_t* table, std::size_t size);

  shared::Header* header_;
  std::uint64_t* entries_;
  std::uint64_t* index_;
  std::atomic<std::uint64_t> open_entries_;  // words of the stack area that are open
  std::atomic<std::uint32_t> open_tables_;
};

// Here, since every allocation of exact mode goes through them.
inline std::uint64_t StackTable::find(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch,
                                      std::uint64_t hash) const {
  std::size_t table_size = kFirstTable;
  std::uint64_t* table = index_;
  const std::uint32_t open = open_tables_.load(std::memory_order_acquire);
  for (std::uint32_t t = 0; t < open; ++t, table += table_size, table_size *= 4) {
    const std::size_t home = (hash & (table_size - 1)) & ~(kProbes - 1);
    for (std::size_t i = 0; i < kProbes; ++i) {
      const std::uint64_t word = std::atomic_ref<std::uint64_t>(table[home + i]).load(std::memory_order_acquire);
      if (word == 0) return shared::kNoStack;
      if (((word ^ hash) & ~kOffsetMask) == 0 && matches(word & kOffsetMask, addresses, depth, epoch))
        return word & kOffsetMask;
    }
  }
  return shared::kNoStack;
}

inline bool StackTable::matches(std::uint64_t id, const std::uint64_t* addresses, std::uint32_t depth,
                                std::uint64_t epoch) const {
  const std::uint64_t* entry = entries_ + id;
  const auto* head = reinterpret_cast<const shared::StackHeader*>(entry);  // others may write their note in it
  if (head->depth != depth || head->epoch != epoch) return false;
  entry += shared::kStackHeaderWords;
  __m128i difference = _mm_setzero_si128();
  std::uint32_t i = 0;
  for (; i + 1 < depth; i += 2)
    difference = _mm_or_si128(difference, _mm_xor_si128(load_pair(entry + i), load_pair(addresses + i)));
  if (i < depth && entry[i] != addresses[i]) return false;
  return _mm_movemask_epi8(_mm_cmpeq_epi8(difference, _mm_setzero_si128())) == 0xffff;
}

}  // namespace leakwatch::preload
