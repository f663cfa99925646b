// SPDX-License-Identifier: Apache-2.0
//
// threads MAKERS PAIRS: what a thread costs that lives but a moment. Each maker creates and joins PAIRS / MAKERS
// threads that do nothing, one after the other, some 20 frames deep. Prints nanoseconds per pair: the mean over the
// makers, and then what it took of all processors.

#include <pthread.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/bench/processor_time.h"

namespace {

constexpr int kDepth = 20;

volatile int deepest;

void* nothing(void*) {
  return nullptr;
}

[[gnu::noinline]] void create_and_join() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, nothing, nullptr) != 0 || pthread_join(thread, nullptr) != 0) std::abort();
}

template <int Level>
[[gnu::noinline]] void descend(long pairs) {
  if constexpr (Level == 0) {
    for (long i = 0; i < pairs; ++i) create_and_join();
  } else {
    descend<Level - 1>(pairs);
  }
  deepest = Level;  // not a tail call
}

double run(long pairs) {
  const auto begin = std::chrono::steady_clock::now();
  descend<kDepth>(pairs);
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - begin;
  return elapsed.count() / static_cast<double>(pairs);
}

}  // namespace

int main(int argc, char** argv) {
  const long makers = argc > 1 ? std::atol(argv[1]) : 1;
  const long pairs = argc > 2 ? std::atol(argv[2]) : 20'000;
  const double processor_begin = processor_time(CLOCK_PROCESS_CPUTIME_ID);
  std::vector<double> results(static_cast<std::size_t>(makers));
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (double& result : results) threads.emplace_back([&result, pairs, makers] { result = run(pairs / makers); });
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const double result : results) sum += result;
  const double processor = processor_time(CLOCK_PROCESS_CPUTIME_ID) - processor_begin;
  std::printf("%.1f %.1f\n", sum / static_cast<double>(makers), processor / static_cast<double>(pairs));
}
