// SPDX-License-Identifier: Apache-2.0
//
// storm THREADS ROUNDS GATE: says "ready", waits until the file GATE exists, then allocates and frees as fast as it can
// (for ever when ROUNDS is 0), and ends with a checksum that only right memory can give, and the longest round.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/targets/truth.h"

namespace {

using Clock = std::chrono::steady_clock;
std::atomic<long> longest_ms, checksum;

void note_longest(long ms) {
  long before = longest_ms;
  while (before < ms && !longest_ms.compare_exchange_weak(before, ms)) {
  }
}

}  // namespace

SITE long* storm_block(long value) {
  auto* block = static_cast<long*>(malloc(64));
  *block = value;
  return block;
}

SITE void storm(long rounds) {
  long* held[64] = {};
  for (long i = 0; rounds == 0 || i < rounds; ++i) {
    const auto start = Clock::now();
    long*& place = held[i % 64];
    if (place != nullptr) checksum.fetch_add(*place, std::memory_order_relaxed);
    free(place);
    place = storm_block(i);
    note_longest(std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
  }
  for (long* block : held) {
    checksum.fetch_add(*block, std::memory_order_relaxed);
    free(block);
  }
}

int main(int, char** argv) {
  const long threads = std::strtol(argv[1], nullptr, 10), rounds = std::strtol(argv[2], nullptr, 10);
  storm(1000);  // so that the session has begun
  checksum = 0;
  say("pid %d", getpid());
  say("ready");
  while (access(argv[3], F_OK) != 0) usleep(10'000);
  std::vector<std::thread> running;
  for (long i = 0; i < threads; ++i) running.emplace_back(storm, rounds);
  for (std::thread& thread : running) thread.join();
  require(checksum == threads * (rounds * (rounds - 1) / 2), "checksum");
  say("longest %ld", longest_ms.load());
  say("done");
}
