// SPDX-License-Identifier: Apache-2.0
//
// frames PATHS ROUNDS: how long it takes to find the id of a stack that is known, as exact mode does for each
// allocation. Goes down PATHS call paths of about 25 frames, without frame pointers, from a thread's start, and takes
// the stack there with the preload's own functions. Each round does so 20,000 times with and 20,000 times without
// taking it, and the fastest rounds are compared, so that an interruption counts in neither. Prints the mean number of
// frames, and the nanoseconds of processor time that a stack added.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <thread>

#include "cli/drain/shared_region.h"
#include "preload/ring_writer.h"
#include "preload/watched_call.h"
#include "tests/bench/processor_time.h"
#include "tests/unit/preload_session.h"

namespace {

using leakwatch::PreloadSession;
using leakwatch::SharedRegion;
namespace preload = leakwatch::preload;

constexpr int kDepth = 20;
constexpr int kWalks = 20'000;

volatile std::uintptr_t consumed;

struct Walker {
  preload::Session& session;
  std::uint64_t paths;
  bool takes = true;
  std::uint64_t last_stack = 0;
  std::uint64_t random = 0x9e3779b97f4a7c15;

  std::uint64_t next() {  // xorshift64 (Marsaglia)
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  }
};

// Stands where a hook does.
[[gnu::noinline]] void hook(Walker& walker) {
  if (walker.takes) walker.last_stack = take_stack(walker.session, preload::thread_state, __builtin_frame_address(0));
  consumed = consumed + 1;
}

// The path's bits choose between two calls of the next level, so that each path is a stack of its own.
template <int Level>
[[gnu::noinline]] void descend(Walker& walker, std::uint64_t path) {
  if constexpr (Level == 0) {
    hook(walker);
  } else if ((path & 1) != 0) {
    descend<Level - 1>(walker, path >> 1);
  } else {
    descend<Level - 1>(walker, path >> 1);
    consumed = consumed + 1;  // not a tail call, and not the same place
  }
  consumed = consumed + 1;
}

void go_down(Walker& walker, std::uint64_t number) {
  descend<kDepth>(walker, number * 0x9e3779b1);
}

double time_walks(Walker& walker, bool takes) {
  walker.takes = takes;
  const double begin = processor_time();
  for (int i = 0; i < kWalks; ++i) go_down(walker, walker.next() % walker.paths);
  return (processor_time() - begin) / kWalks;
}

// Takes every stack twice: the second time it is known.
double frames_of_all(Walker& walker, const SharedRegion& region) {
  std::size_t frames = 0;
  for (std::uint64_t i = 0; i < 2 * walker.paths; ++i) {
    go_down(walker, i / 2);
    frames += region.stack(static_cast<std::uint32_t>(walker.last_stack))->addresses.size();
  }
  return static_cast<double>(frames) / (2 * static_cast<double>(walker.paths));
}

void measure(preload::Session& session, const SharedRegion& region, std::uint64_t paths, long rounds) {
  join_session(session, preload::thread_state);
  Walker walker{session, paths};
  const double frames = frames_of_all(walker, region);
  double with = std::numeric_limits<double>::max(), without = with;
  for (long i = 0; i < rounds; ++i) {
    without = std::min(without, time_walks(walker, false));
    with = std::min(with, time_walks(walker, true));
  }
  std::printf("%.1f %.1f\n", frames, with - without);
}

}  // namespace

int main(int argc, char** argv) {
  const long paths = argc > 1 ? std::atol(argv[1]) : 2500;
  const long rounds = argc > 2 ? std::atol(argv[2]) : 100;
  SharedRegion region({.sample_interval = 1});
  PreloadSession session(region);  // takes its own thread for the main thread
  std::thread([&] { measure(*session, region, static_cast<std::uint64_t>(paths), rounds); }).join();
}
