// SPDX-License-Identifier: Apache-2.0
//
// A 128-bit fingerprint of what a remembered walk reads: NH by Black, Halevi, Krawczyk, Krovetz and Rogaway ("UMAC:
// Fast and Secure Message Authentication", 1999), with words of 64 bits. Each pair of words, with a secret key added to
// each word, is multiplied, and the products are summed up; no multiplication waits for another. Whatever two walks are
// like, the keys give both the same sum with a probability of at most 2^-64, as they prove. A million stacks are 2^39
// pairs, so in one of 30 million sessions with that many two of them would be taken for one.
//
// The proof is for messages of one length. It looks at one pair that differs, and allows for any sum of the rest. Here
// the first pair is the layout, which says how many follow, and the epoch: where lengths differ, that pair does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/random.h"
#include "preload/walk_layout.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

struct Fingerprint {
  std::uint64_t low;
  std::uint64_t high;
  bool operator==(const Fingerprint&) const = default;
};

// One key for each word, as if drawn for this session alone.
struct FingerprintKeys {
  // Two for layout and epoch, two for the pc, and one for each return address in whole groups.
  static constexpr std::size_t kCount =
      4 + (shared::kMaxDepth + WalkLayout::kGroup - 1) / WalkLayout::kGroup * WalkLayout::kGroup;
  std::uint64_t words[kCount];

  // From 16 secret bytes.
  void draw(const void* secret) {
    std::uint64_t state[2];
    __builtin_memcpy(state, secret, sizeof state);
    for (std::uint64_t& word : words) word = next_random(state[0]) ^ next_random(state[1]);
  }
};

class FingerprintSum {
 public:
  FingerprintSum(const FingerprintKeys& keys, std::uint64_t layout, std::uint64_t epoch) : keys_(keys.words) {
    add(layout, epoch);
  }
  [[gnu::always_inline]] void add(std::uint64_t first, std::uint64_t second) {
    sum_ += static_cast<Wide>(first + keys_[0]) * (second + keys_[1]);
    keys_ += 2;
  }
  Fingerprint fingerprint() const { return {static_cast<std::uint64_t>(sum_), static_cast<std::uint64_t>(sum_ >> 64)}; }

 private:
  __extension__ using Wide = unsigned __int128;
  const std::uint64_t* keys_;
  Wide sum_ = 0;
};

}  // namespace leakwatch::preload
