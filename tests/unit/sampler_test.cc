// SPDX-License-Identifier: Apache-2.0
//
// The sampler of the target: its logarithm, which stands in for libm's, and the distribution of what it draws.
#include "preload/sampler.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

double relative_error(double u) {
  const double want = std::log(u);
  return want == 0 ? std::fabs(natural_logarithm(u)) : std::fabs(natural_logarithm(u) / want - 1);
}

TEST_CASE("the logarithm of one is exactly zero") {
  CHECK(natural_logarithm(1.0) == 0);
}

TEST_CASE("the logarithm is right at the smallest and the largest number that can be drawn") {
  CHECK(relative_error(0x1p-53) < 1e-12);
  CHECK(relative_error(0x1p-52) < 1e-12);
  CHECK(relative_error(1 - 0x1p-53) < 1e-12);
  CHECK(relative_error(1 - 0x1p-52) < 1e-12);
}

TEST_CASE("the logarithm is right where its reduction changes sides") {
  for (int exponent = -53; exponent <= -1; ++exponent) {
    for (const double mantissa : {1.0, 1.4142135623730949, 1.4142135623730951, 1.4142135623730954, 1.9999999999999998})
      CHECK(relative_error(std::ldexp(mantissa, exponent)) < 1e-12);
  }
}

TEST_CASE("the logarithm is right to twelve digits on all of its range") {
  std::mt19937_64 random(1);
  double worst = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const double u = static_cast<double>((random() >> 11) + 1) * 0x1p-53;
    worst = std::fmax(worst, relative_error(u));
    worst = std::fmax(worst, relative_error(std::ldexp(u, -static_cast<int>(random() % 45))));  // small ones too
  }
  CHECK(worst < 1e-12);
}

TEST_CASE("a distance is at least one byte") {
  std::uint64_t random = 1;
  std::int64_t smallest = 1000;
  for (int i = 0; i < 100'000; ++i) smallest = std::min(smallest, draw_distance(random, 2));
  CHECK(smallest == 1);
}

TEST_CASE("the mean distance is the interval") {
  constexpr int kDraws = 1'000'000;
  for (const std::uint64_t mean : {std::uint64_t{64}, std::uint64_t{4096}, std::uint64_t{512 * 1024}}) {
    std::uint64_t random = 42;
    double total = 0;
    for (int i = 0; i < kDraws; ++i) total += static_cast<double>(draw_distance(random, mean));
    // Rounding up to a whole byte adds half of one; the standard deviation of an exponential is its mean.
    const double want = static_cast<double>(mean) + 0.5;
    CHECK(std::fabs(total / kDraws - want) < 4 * static_cast<double>(mean) / std::sqrt(kDraws));
  }
}

TEST_CASE("the chance that a block of s bytes is passed over is e to the -s/R") {
  constexpr int kDraws = 1'000'000;
  constexpr std::uint64_t kMean = 512 * 1024;
  const std::vector<std::int64_t> sizes = {16, 4096, 65536, 524'288, 1 << 20, 4 << 20};
  std::vector<int> passed(sizes.size());
  std::uint64_t random = 7;
  for (int i = 0; i < kDraws; ++i) {
    const std::int64_t distance = draw_distance(random, kMean);
    for (std::size_t s = 0; s < sizes.size(); ++s) passed[s] += distance > sizes[s];
  }
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    const double chance = std::exp(-static_cast<double>(sizes[s]) / kMean);
    const double error = std::sqrt(chance * (1 - chance) / kDraws);
    CHECK(std::fabs(static_cast<double>(passed[s]) / kDraws - chance) < 4 * error);
  }
}

TEST_CASE("the same seed draws the same distances and another one others") {
  std::uint64_t a = 5, b = 5, c = 6;
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    const std::int64_t drawn = draw_distance(a, 1 << 20);
    CHECK(drawn == draw_distance(b, 1 << 20));
    same += drawn == draw_distance(c, 1 << 20);
  }
  CHECK(same < 5);
}

// The published test vector of the generator, for the seed 1234567.
TEST_CASE("the random numbers are those of splitmix64") {
  std::uint64_t state = 1234567;
  CHECK(next_random(state) == 6457827717110365317u);
  CHECK(next_random(state) == 3203168211198807973u);
  CHECK(next_random(state) == 9817491932198370423u);
}

}  // namespace
}  // namespace leakwatch::preload
