// SPDX-License-Identifier: Apache-2.0
//
// From the fingerprint of a walk to the id of the stack that it found. What makes exact mode fast is how little of the
// caches a known walk needs here: one line of 64 bytes, half of it its own.
//
// Lock-free, shared by the threads, and only read while walks are known. A row of tables, each four times the one
// before, so that a program with few stacks touches few pages; what a full set of the last one held is forgotten, and
// walked again.
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
  static constexpr std::size_t kTables = 4;
  static constexpr std::size_t kPlaces = kFirstTable * ((std::size_t{1} << (2 * kTables)) - 1) / 3;
  static constexpr std::size_t kMemoryBytes = kPlaces * sizeof(Place);

  // `memory` is kMemoryBytes of zeroes, reserved and not yet open, at the beginning of a page.
  void start(void* memory) { places_ = static_cast<Place*>(memory); }

  // The id of the stack, or shared::kNoStack.
  std::uint64_t find(const Fingerprint& walk) const {
    const std::uint32_t open = open_tables_.load(std::memory_order_acquire);
    const Place* table = places_;
    std::size_t size = kFirstTable;
    for (std::uint32_t t = 0; t < open; ++t, table += size, size *= 4) {
      const Place* set = table + set_of(walk, size);
      const std::uint64_t stack = stack_if(set[0], walk) | stack_if(set[1], walk);
      if (stack != shared::kNoStack) return stack;
    }
    return shared::kNoStack;
  }

  // Not twice with two stacks: a walk has one.
  void add(const Fingerprint& walk, std::uint64_t stack);

 private:
  static constexpr std::size_t kSetPlaces = 2;

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
  bool open(std::uint32_t number, const Place* table, std::size_t size);

  Place* places_;
  std::atomic<std::uint32_t> open_tables_;
  std::atomic<bool> is_refused_;  // to open one more
};
static_assert(sizeof(KnownWalks::Place) == 32);

}  // namespace leakwatch::preload
