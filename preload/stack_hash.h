// SPDX-License-Identifier: Apache-2.0
//
// A hash of stacks, two addresses at a time: each half of a keyed address times the other, summed up (as XXH3 by Yann
// Collet does it), so that no multiplication waits for another. The key moves on from pair to pair and tells their
// places apart. It only chooses what a stack is compared with.
#pragma once

#include <emmintrin.h>

#include <cstdint>

namespace leakwatch::preload {

// Two words that need not be aligned.
inline __m128i load_pair(const std::uint64_t* words) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(words));
}

class StackHash {
 public:
  void add(__m128i pair) {
    constexpr int kHighOfEach = 0x31, kSwapped = 0x4e;
    const __m128i keyed = _mm_xor_si128(pair, key_);
    const __m128i product = _mm_mul_epu32(keyed, _mm_shuffle_epi32(keyed, kHighOfEach));
    sum_ = _mm_add_epi64(_mm_add_epi64(sum_, product), _mm_shuffle_epi32(pair, kSwapped));
    key_ = _mm_add_epi64(key_, _mm_set1_epi64x(0x5bd1e9959e3779b1));
  }
  void add_last(std::uint64_t word) { add(_mm_cvtsi64_si128(static_cast<long long>(word))); }

  std::uint64_t finish(std::uint32_t depth, std::uint64_t epoch) const {
    const auto low = static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum_));
    const auto high = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(sum_, sum_)));
    return mix(low ^ epoch ^ 0xa0761d6478bd642f, high ^ depth ^ 0xe7037ed1a0b428db);
  }

 private:
  // Multiply and fold, as in wyhash by Wang Yi.
  static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    __extension__ using Product = unsigned __int128;
    const Product product = static_cast<Product>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  __m128i sum_ = _mm_setzero_si128();
  __m128i key_ = _mm_set_epi64x(0x1d8e4e27c47d124f, static_cast<long long>(0x8ebc6af09c88c6e3));
};

}  // namespace leakwatch::preload
