// SPDX-License-Identifier: Apache-2.0
//
// sites SITES SLEEPERS: a program with much to tell. It keeps a block from each of SITES different stacks, some 20
// frames deep, and SLEEPERS threads that wait for a condition. Then it makes and frees blocks at a steady pace. Every
// 20 ms it prints how many it has allocated since its start, the kept ones too, and the longest time in microseconds
// that one of them took: what others do at that time can be held against it. Ends when its standard input does.

#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDepth = 20;
constexpr std::uint64_t kSpread = 0x9e3779b1u;  // odd: different numbers have different low bits

volatile std::uintptr_t consumed;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t never = PTHREAD_COND_INITIALIZER;

// The path's bits choose between two calls of the next level, so that each path is a stack of its own.
template <int Level>
[[gnu::noinline]] void* keep_one(std::uint64_t path) {
  void* block = nullptr;
  if constexpr (Level == 0) {
    block = std::malloc(16 + path % 500);
  } else if ((path & 1) != 0) {
    block = keep_one<Level - 1>(path >> 1);
  } else {
    block = keep_one<Level - 1>(path >> 1);
    consumed = consumed + 1;  // not a tail call, and not the same place
  }
  consumed = consumed + 1;
  return block;
}

void sleep_for_ever() {
  pthread_mutex_lock(&mutex);
  while (true) pthread_cond_wait(&never, &mutex);
}

// Some hundreds of nanoseconds of other work for each block.
[[gnu::noinline]] void work() {
  void* block = std::malloc(100);
  for (int i = 0; i < 400; ++i) consumed = consumed + reinterpret_cast<std::uintptr_t>(block);
  std::free(block);
}

bool is_input_at_its_end() {
  pollfd input{.fd = 0, .events = POLLIN, .revents = 0};
  return poll(&input, 1, 0) > 0;
}

void report_pace(long blocks) {
  auto last = Clock::now();
  auto reported = last;
  auto longest = Clock::duration::zero();
  while (!is_input_at_its_end()) {
    do {
      work();
      ++blocks;
      const auto now = Clock::now();
      longest = std::max(longest, now - last);
      last = now;
    } while (last - reported < std::chrono::milliseconds(20));
    std::printf("%ld %.0f\n", blocks, std::chrono::duration<double, std::micro>(longest).count());
    std::fflush(stdout);
    longest = Clock::duration::zero();
    reported = last = Clock::now();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long sites = argc > 1 ? std::atol(argv[1]) : 100'000;
  const long sleepers = argc > 2 ? std::atol(argv[2]) : 0;
  std::vector<void*> kept;
  for (long i = 0; i < sites; ++i) kept.push_back(keep_one<kDepth>(static_cast<std::uint64_t>(i) * kSpread));
  for (long i = 0; i < sleepers; ++i) std::thread(sleep_for_ever).detach();
  report_pace(sites);
  for (void* block : kept) std::free(block);
  std::_Exit(0);  // the sleepers are not waited for
}
