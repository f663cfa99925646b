// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/empty_profile.h"

namespace leakwatch {

ProfileContent contention_content(std::int64_t time_ns) {
  return {.types = {{"contentions", "count"}, {"delay", "nanoseconds"}},
          .period_type = {"contentions", "count"},
          .period = 1,
          .default_type = {},
          .number_label = {},
          .text_label = {},
          .drop_frames = {},
          .weight = {},
          .time_ns = time_ns,
          .duration_ns = 0,
          .parts = {},
          .comments = {"leakwatch does not watch locks: this profile is always empty."}};
}

ProfileContent cpu_content(std::int64_t time_ns, std::int64_t duration_ns) {
  constexpr std::int64_t kNanosecondsBetweenSamples = 10'000'000;
  return {.types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
          .period_type = {"cpu", "nanoseconds"},
          .period = kNanosecondsBetweenSamples,
          .default_type = {},
          .number_label = {},
          .text_label = {},
          .drop_frames = {},
          .weight = {},
          .time_ns = time_ns,
          .duration_ns = duration_ns,
          .parts = {},
          .comments = {"leakwatch does not watch the processor: this profile is always empty."}};
}

// Readers multiply delays by the length of a cycle: ours would be in nanoseconds.
std::string block_text() {
  return "--- contention:\ncycles/second=1000000000\n";
}

// A sampling period of 0 is what Go says while nothing is recorded.
std::string mutex_text() {
  return "--- mutex:\ncycles/second=1000000000\nsampling period=0\n";
}

}  // namespace leakwatch
