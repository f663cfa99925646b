// SPDX-License-Identifier: Apache-2.0
//
// A fuzzer's bytes as numbers, until there are none left: then as zeroes. And what several targets make of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "proto/shared_memory.h"

namespace leakwatch::fuzz {

// Not an assert: it must hold in builds with NDEBUG too.
inline void check(bool holds, int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "the check in line %d of the fuzz target does not hold\n", line);
  std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  bool is_empty() const { return at_ == end_; }

  void fill(void* to, std::size_t bytes) {
    const std::size_t have = std::min(bytes, static_cast<std::size_t>(end_ - at_));
    std::memset(to, 0, bytes);
    std::memcpy(to, at_, have);
    at_ += have;
  }

  // One byte is enough for most choices, and a mutated byte then changes one choice.
  std::uint32_t below(std::uint32_t limit) {
    std::uint16_t value = 0;
    fill(&value, limit > 256 ? 2 : 1);
    return value % limit;
  }
  bool flag() { return below(2) == 1; }

  // Small and close to a power of two more often than not: there the limits are.
  std::uint64_t number() {
    const std::uint32_t how = below(4);
    std::uint64_t value = 0;
    if (how == 0) return below(200);
    if (how == 1) return (std::uint64_t{1} << below(64)) + below(5) - 2;
    fill(&value, sizeof value);
    return value;
  }

  std::vector<std::uint64_t> words(std::size_t count) {
    std::vector<std::uint64_t> result(count);
    for (std::uint64_t& word : result) word = number();
    return result;
  }

  std::string text(std::size_t size) {
    std::string result(size, '\0');
    fill(result.data(), size);
    return result;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

// A kind of the events that a heap is made of.
inline shared::EventKind heap_kind(std::uint64_t number) {
  using enum shared::EventKind;
  constexpr shared::EventKind kKinds[] = {kAllocate,      kFree,        kReallocFree,    kReallocFailed,
                                          kSmallAllocate, kUntimedFree, kUntimedAllocate};
  return kKinds[number % std::size(kKinds)];
}

// Any that there is, those of a heap three times in four.
inline shared::EventKind any_kind(std::uint64_t number) {
  if (number % 4 != 0) return heap_kind(number / 4);
  for (std::uint64_t kind = number / 4;; ++kind) {
    const auto some = static_cast<shared::EventKind>(kind % 256);
    if (shared::is_kind(some)) return some;
  }
}

}  // namespace leakwatch::fuzz
