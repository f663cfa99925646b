// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/state/interval_controller.h"

#include <algorithm>
#include <cmath>

namespace leakwatch {

namespace {

constexpr int kFirst = shared::kFirstStep, kLast = shared::kLastStep;

// What is aimed at, as a share of the limit: the rest is for what a window cannot know.
constexpr double kAim = 0.7;

// A few calls of the longest kind, as when a library is met for the first time, are no reason to grow; and a window in
// which hardly any sample fell does not know its own cost.
constexpr double kUpwardDoubtNs = 300'000;
constexpr double kDownwardDoubtNs = 20'000;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kPatienceNs = kSecond;
constexpr std::uint64_t kPatienceAfterGrowthNs = 3 * kSecond;
constexpr std::uint64_t kLongestWindowNs = 10 * kSecond;

// An eighth of the elements of the filter in front of free (preload/sampled_set.h). A heap that grows keeps samples of
// smaller intervals, so that it comes to more of them. Not more than Go and others do with their default.
constexpr std::uint64_t kLiveSamples = 4096;
constexpr std::uint64_t kHighestFloor = std::uint64_t{512} * 1024;

// Of a factor, in halves of a doubling.
int steps_of(double factor) {
  return static_cast<int>(std::ceil(2 * std::log2(factor)));
}

// May lie outside of those that are published: of an interval that the user chose.
int nearest_step(std::uint64_t interval) {
  return static_cast<int>(std::lround(2 * std::log2(static_cast<double>(interval))));
}

int floor_of(std::uint64_t live_bytes) {
  const std::uint64_t interval = std::clamp<std::uint64_t>(live_bytes / kLiveSamples, 1, kHighestFloor);
  return std::max(kFirst, nearest_step(interval));
}

}  // namespace

IntervalController::IntervalController(double limit, std::uint64_t first_interval)
    : limit_(limit), step_(nearest_step(first_interval)), patience_ns_(kPatienceNs) {}

std::uint32_t IntervalController::next_step(const Reading& reading) {
  const bool goes_on = has_window_ && reading.now_ns >= window_.now_ns &&
                       reading.processor_ns >= window_.processor_ns && reading.cost_ns >= window_.cost_ns &&
                       reading.lookup_ns >= window_.lookup_ns;
  if (!goes_on) {
    has_window_ = true;
    window_ = reading;
    return published_;
  }
  const std::uint64_t age_ns = reading.now_ns - window_.now_ns;
  const auto cost_ns = static_cast<double>(reading.cost_ns - window_.cost_ns);
  const double limit_ns = limit_ * static_cast<double>(reading.processor_ns - window_.processor_ns);
  const double allowed_ns =
      limit_ns - std::min(static_cast<double>(reading.lookup_ns - window_.lookup_ns), limit_ns / 2);
  const int floor = floor_of(reading.live_bytes);
  if (const int up = steps_up(cost_ns, allowed_ns, floor); up > 0) {
    move_to(step_ + up, reading);
    patience_ns_ = kPatienceAfterGrowthNs;
  } else if (age_ns >= patience_ns_) {
    if (const int down = steps_down(cost_ns, allowed_ns, floor); down > 0) {
      move_to(step_ - down, reading);
      patience_ns_ = kPatienceNs;
    } else if (age_ns >= kLongestWindowNs) {
      window_ = reading;
    }
  }
  return published_;
}

int IntervalController::steps_up(double cost_ns, double allowed_ns, int floor) const {
  const int to_floor = std::max(floor - step_, 0);
  if (step_ >= kLast || cost_ns <= allowed_ns + kUpwardDoubtNs) return to_floor;
  constexpr int kMost = 12;  // a factor of 64
  if (cost_ns >= allowed_ns * kAim * 64) return std::max(kMost, to_floor);
  return std::max(std::clamp(steps_of(cost_ns / (allowed_ns * kAim)), 1, kMost), to_floor);
}

int IntervalController::steps_down(double cost_ns, double allowed_ns, int floor) const {
  for (const int steps : {4, 2, 1}) {
    if (step_ - steps >= floor && (cost_ns + kDownwardDoubtNs) * std::exp2(steps / 2.0) <= allowed_ns * kAim)
      return steps;
  }
  return 0;
}

void IntervalController::move_to(int step, const Reading& reading) {
  step_ = std::clamp(step, kFirst, kLast);
  published_ = static_cast<std::uint32_t>(step_);
  window_ = reading;
}

}  // namespace leakwatch
