// SPDX-License-Identifier: Apache-2.0
//
// From the fingerprint of a walk to the id of the stack that it found. What makes exact mode fast is how little of the
// caches a known walk needs here: one line of 64 bytes, half of it its own.
//
// Lock-free, shared by the threads, and only read while walks are known. A row of tables, each four times the one
// before, so that a program with few stacks touches few pages; what a full set of the last one held is forgotten, and
// walked again. The look begins where most of them are, then goes to the smaller tables, and last to the larger ones.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/walk_fingerprint.h"

namespace leakwatch::preload {

class KnownWalks {
 public:
  struct Place {
    std::atomic<std::uint64_t> stack;  // 0: empty
    std::atomic<std::uint64_t> low;    // of the fingerprint, ^ stack: what is half written is no walk's
    std::atomic<std::uint64_t> high;
    std::uint64_t unused;
  };
  static constexpr std::size_t kFirstTable = 8192;
  static constexpr std::uint32_t kTables = 5;
  static constexpr std::size_t kPlaces = ((kFirstTable << 2 * kTables) - kFirstTable) / 3;
  static constexpr std::size_t kMemoryBytes = kPlaces * sizeof(Place);

  // `memory` is kMemoryBytes of zeroes, reserved and not yet open, at the beginning of a page.
  void start(void* memory) { places_ = static_cast<Place*>(memory); }

  // The id of the stack, or shared::kNoStack.
  [[gnu::always_inline]] std::uint64_t find(const Fingerprint& walk) const {
    const std::uint32_t open = open_tables_.load(std::memory_order_acquire);
    if (open == 0) return shared::kNoStack;
    const std::uint32_t fullest = fullest_.load(std::memory_order_relaxed);
    if (fullest >= kFirstLarge) prefetch_beside(fullest, open, walk);
    for (std::uint32_t table = fullest + 1; table-- != 0;) {
      if (const std::uint64_t stack = find_in(table, walk); stack != shared::kNoStack) [[likely]]
        return stack;
    }
    for (std::uint32_t table = fullest + 1; table < open; ++table) {
      if (const std::uint64_t stack = find_in(table, walk); stack != shared::kNoStack) return stack;
    }
    return shared::kNoStack;
  }

  // Not twice with two stacks: a walk has one.
  void add(const Fingerprint& walk, std::uint64_t stack);

 private:
  static constexpr std::size_t kSetPlaces = 2;
  static constexpr std::uint32_t kFirstLarge = 3;  // of the tables that no cache holds

  static constexpr std::size_t size_of(std::uint32_t table) { return kFirstTable << 2 * table; }
  static constexpr std::size_t begin_of(std::uint32_t table) { return (size_of(table) - kFirstTable) / 3; }
  Place* set_in(std::uint32_t table, const Fingerprint& walk) const {
    return places_ + begin_of(table) + set_of(walk, size_of(table));
  }
  std::uint64_t find_in(std::uint32_t table, const Fingerprint& walk) const {
    const Place* set = set_in(table, walk);
    return stack_if(set[0], walk) | stack_if(set[1], walk);
  }

  // Words that differ by little times a key: their products differ in these bits of the sum, if not in higher ones.
  static std::size_t set_of(const Fingerprint& walk, std::size_t size) {
    return walk.low >> 40 & (size - 1) & ~(kSetPlaces - 1);
  }
  // Without a branch: in which of two places a walk is cannot be foretold.
  static std::uint64_t stack_if(const Place& place, const Fingerprint& walk) {
    const std::uint64_t stack = place.stack.load(std::memory_order_acquire);
    const std::uint64_t difference = (place.low.load(std::memory_order_relaxed) ^ stack ^ walk.low) |
                                     (place.high.load(std::memory_order_relaxed) ^ walk.high);
    return stack & -std::uint64_t{difference == 0};
  }
  // Where a walk may be that is not in the fullest table: one wait for memory is enough.
  [[gnu::always_inline]] void prefetch_beside(std::uint32_t fullest, std::uint32_t open,
                                              const Fingerprint& walk) const {
    __builtin_prefetch(set_in(fullest - 1, walk));
    if (fullest + 1 < open) __builtin_prefetch(set_in(fullest + 1, walk));
  }
  bool open(std::uint32_t table);
  void count(std::uint32_t table);

  Place* places_;
  std::atomic<std::uint32_t> open_tables_;
  std::atomic<std::uint32_t> fullest_;         // the table with the most walks
  std::atomic<std::uint32_t> walks_[kTables];  // of each
  std::atomic<bool> is_refused_;               // to open one more
};
static_assert(sizeof(KnownWalks::Place) == 32);

}  // namespace leakwatch::preload
