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

#include "proto/shared_memory.h"

namespace leakwatch::preload {

class StackTable {
 public:
  static constexpr std::size_t kFirstTable = 4096;
  static constexpr std::size_t kTables = 6;  // 4096 * (4^6 - 1) / 3 = 5.6 million places
  static constexpr std::size_t kIndexBytes = kFirstTable * ((1u << (2 * kTables)) - 1) / 3 * sizeof(std::uint64_t);

  // `index` is kIndexBytes of zeroes, reserved and not yet open.
  void start(shared::Header* header, std::uint64_t* index);

  // The id of the stack, or shared::kNoStack when there is no room.
  std::uint64_t find_or_add(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch);

 private:
  static constexpr std::size_t kProbes = 8;  // one cache line
  static constexpr std::uint64_t kOffsetMask = 0xffffffff;

  std::uint64_t add(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch);
  bool matches(std::uint64_t id, const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch) const;

  bool open_entries_until(std::uint64_t offset);

  shared::Header* header_;
  std::uint64_t* entries_;
  std::uint64_t* index_;
  std::atomic<std::uint64_t> open_entries_;  // words of the stack area that are open
  std::atomic<std::uint32_t> open_tables_;
};

}  // namespace leakwatch::preload
