// SPDX-License-Identifier: Apache-2.0
//
// Poisson sampling over bytes, per thread: the distance to the next sample is exponential with mean R, so a block that
// counts as s bytes (shared::sampled_bytes) is sampled with probability 1 - e^(-s/R), whatever came before it. The
// reader scales each sample by the inverse of that. R = 1 is the exact mode: every block is taken and none is scaled.
#pragma once

#include <cstdint>

#include "preload/random.h"

namespace leakwatch::preload {

// Natural logarithm of u in (0, 1], relative error below 1e-12, without libm, which the object must not need:
// ln(m 2^e) = e ln 2 + 2 artanh((m-1)/(m+1)) with m in [1/sqrt 2, sqrt 2).
inline double natural_logarithm(double u) {
  std::uint64_t bits;
  __builtin_memcpy(&bits, &u, sizeof bits);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffff) | 0x3ff0000000000000;
  double mantissa;
  __builtin_memcpy(&mantissa, &bits, sizeof mantissa);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double t = (mantissa - 1) / (mantissa + 1);
  const double t2 = t * t;
  double series = 0;
  for (int k = 15; k >= 1; k -= 2) series = series * t2 + 1.0 / k;
  return exponent * 0.6931471805599453 + 2 * t * series;
}

// Bytes to the next sample, at least 1.
inline std::int64_t draw_distance(std::uint64_t& random, std::uint64_t mean) {
  const double uniform = static_cast<double>((next_random(random) >> 11) + 1) * 0x1p-53;
  return static_cast<std::int64_t>(-natural_logarithm(uniform) * static_cast<double>(mean)) + 1;
}

}  // namespace leakwatch::preload
