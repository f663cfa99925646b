// SPDX-License-Identifier: Apache-2.0
//
// weather KEEP CALM END: two threads allocate and free as fast as they can until the file CALM exists, and keep a block
// now and then once the file KEEP exists. Then it tells the truth about what was kept, and computes, with hardly an
// allocation, until the file END exists. Frees all at last.

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "tests/targets/truth.h"

namespace {

using Clock = std::chrono::steady_clock;
std::atomic<unsigned> computed;

bool exists(const char* file) {
  return access(file, F_OK) == 0;
}

void compute(std::chrono::milliseconds time) {
  const auto end = Clock::now() + time;
  unsigned number = computed;
  while (Clock::now() < end) {
    for (int i = 0; i < 1000; ++i) number = number * 1664525 + 1013904223;
    computed = number;
  }
}

}  // namespace

SITE void* kept_small() {
  return malloc(300);
}

SITE void* kept_large() {
  return malloc(40000);
}

SITE void* blown_away(std::size_t size) {
  return malloc(size);
}

struct Kept {
  std::vector<void*> small, large;
};

SITE void storm(const char* keep, const char* calm, Kept& kept) {
  void* held[64] = {};
  while (!exists(calm)) {
    for (std::size_t i = 0; i < 4000; ++i) {
      free(held[i % 64]);
      held[i % 64] = blown_away(32 + i % 500);
    }
    if (kept.large.size() == kept.large.capacity() || !exists(keep)) continue;
    kept.large.push_back(kept_large());
    for (int i = 0; i < 20; ++i) kept.small.push_back(kept_small());
  }
  for (void* block : held) free(block);
}

int main(int, char** argv) {
  say("pid %d", getpid());
  say("ready");
  Kept kept[2];
  for (Kept& each : kept) {
    each.small.reserve(30000);
    each.large.reserve(1500);
  }
  std::thread other(storm, argv[1], argv[2], std::ref(kept[1]));
  storm(argv[1], argv[2], kept[0]);
  other.join();
  say("kept_small 300 %zu", kept[0].small.size() + kept[1].small.size());
  say("kept_large 40000 %zu", kept[0].large.size() + kept[1].large.size());
  say("calm");
  while (!exists(argv[3])) {
    compute(std::chrono::milliseconds(20));
    free(blown_away(100));
  }
  for (const Kept& each : kept) {
    for (void* block : each.small) free(block);
    for (void* block : each.large) free(block);
  }
  say("done");
}
