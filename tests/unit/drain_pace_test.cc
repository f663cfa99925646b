// SPDX-License-Identifier: Apache-2.0

#include "cli/drain/drain_pace.h"

#include <cmath>
#include <cstdint>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kRing = 1024;

// The words that a program which writes so many a second leaves in a rest, as far as they fit.
std::uint64_t words_in(std::uint64_t rest_ns, double words_a_second) {
  return static_cast<std::uint64_t>(std::fmin(static_cast<double>(rest_ns) * 1e-9 * words_a_second, kRing));
}

std::uint64_t settled_rest(DrainPace& pace, double words_a_second) {
  std::uint64_t rest = 0;
  for (int i = 0; i < 100; ++i) rest = pace.rest_ns(words_in(rest, words_a_second), kRing);
  return rest;
}

TEST_CASE("a reader of an idle program rests as long as it may") {
  DrainPace pace;
  CHECK(pace.rest_ns(0, kRing) == DrainPace::kMostGrowth * DrainPace::kShortestNs);
  CHECK(settled_rest(pace, 0) == DrainPace::kLongestNs);
}

TEST_CASE("the reader comes when the fullest ring holds an eighth") {
  DrainPace pace;
  for (const double words_a_second : {20e3, 100e3, 500e3, 1e6}) {
    const std::uint64_t found = words_in(settled_rest(pace, words_a_second), words_a_second);
    CHECK(found >= kRing / 10);
    CHECK(found <= kRing / 7);
  }
}

TEST_CASE("a few events do not wake the reader any sooner") {
  DrainPace pace;
  CHECK(settled_rest(pace, 2'000) == DrainPace::kLongestNs);
}

TEST_CASE("a flood shortens the rest at once, and to no less than is worth it") {
  DrainPace pace;
  settled_rest(pace, 0);
  CHECK(pace.rest_ns(kRing, kRing) == DrainPace::kLongestNs / DrainPace::kWantedPart);
  CHECK(settled_rest(pace, 1e12) == DrainPace::kShortestNs);
  CHECK(settled_rest(pace, 0) == DrainPace::kLongestNs);
}

}  // namespace
}  // namespace leakwatch
