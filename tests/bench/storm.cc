// SPDX-License-Identifier: Apache-2.0
//
// storm THREADS ITERATIONS: a load for the benchmarks. Each iteration goes down one of 2,500 call paths, without frame
// pointers, and there, 20 to 26 frames from the thread's start, replaces a live block (every second path), makes a
// short-lived one (every fourth) or grows one (every fourth): 1.25 allocations and as many frees. Prints two numbers,
// means over the threads: nanoseconds per iteration, and those of them that it had a processor.
//
// storm THREADS 0 FILE: the same without end. FILE has room for two numbers of 64 bits, which are counted up:
// iterations of all threads, and the nanoseconds that they had a processor.

#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/bench/processor_time.h"

namespace {

constexpr int kDepth = 20;
constexpr std::uint64_t kPaths = 2500;
constexpr std::size_t kLiveBlocks = 10'000;

volatile std::uintptr_t consumed;

struct Worker {
  std::uint64_t random;
  std::vector<void*> live;

  std::uint64_t next() {  // xorshift64 (Marsaglia)
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  }
};

[[gnu::noinline]] void replace_one(Worker& worker) {
  void*& place = worker.live[worker.next() % worker.live.size()];
  std::free(place);
  place = std::malloc(16 + worker.next() % 500);
}

[[gnu::noinline]] void make_one(Worker& worker) {
  void* block = std::malloc(16 + worker.next() % 500);
  consumed = reinterpret_cast<std::uintptr_t>(block);
  std::free(block);
}

[[gnu::noinline]] void grow_one(Worker&) {
  void* block = std::malloc(40);
  consumed = reinterpret_cast<std::uintptr_t>(block);
  block = std::realloc(block, 90);
  consumed = consumed + 1;
  std::free(block);
}

// The path's bits choose between two calls of the next level, so that each path is a stack of its own.
template <int Level>
[[gnu::noinline]] void descend(Worker& worker, std::uint64_t path) {
  if constexpr (Level == 0) {
    if ((path & 1) != 0)
      replace_one(worker);
    else if ((path & 2) != 0)
      make_one(worker);
    else
      grow_one(worker);
  } else if ((path & 1) != 0) {
    descend<Level - 1>(worker, path >> 1);
  } else {
    descend<Level - 1>(worker, path >> 1);
    consumed = consumed + 1;  // not a tail call, and not the same place
  }
  consumed = consumed + 1;
}

Worker new_worker(unsigned seed) {
  Worker worker{0x9e3779b97f4a7c15u * (seed + 1), std::vector<void*>(kLiveBlocks)};
  for (void*& place : worker.live) place = std::malloc(64);
  return worker;
}

void iterate(Worker& worker, long iterations) {
  for (long i = 0; i < iterations; ++i) descend<kDepth>(worker, (worker.next() % kPaths) * 0x9e3779b1u);
}

struct Nanoseconds {  // of an iteration
  double wall = 0;
  double processor = 0;
};

Nanoseconds run(unsigned seed, long iterations) {
  Worker worker = new_worker(seed);
  const auto begin = std::chrono::steady_clock::now();
  const double processor_begin = processor_time();
  iterate(worker, iterations);
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - begin;
  const double processor = processor_time() - processor_begin;
  for (void* block : worker.live) std::free(block);
  return {elapsed.count() / static_cast<double>(iterations), processor / static_cast<double>(iterations)};
}

struct Counters {
  std::atomic<std::uint64_t> iterations;
  std::atomic<std::uint64_t> processor_ns;
};

void run_without_end(unsigned seed, Counters& counters) {
  constexpr long kAtOnce = 500;  // a look at the clock is a system call
  Worker worker = new_worker(seed);
  for (double before = processor_time();;) {
    iterate(worker, kAtOnce);
    const double after = processor_time();
    counters.iterations += kAtOnce;
    counters.processor_ns += static_cast<std::uint64_t>(after - before);
    before = after;
  }
}

Counters* open_counters(const char* path) {
  const int file = open(path, O_RDWR | O_CLOEXEC);
  void* memory = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Counters*>(memory);
}

int run_all_without_end(long threads, const char* path) {
  Counters* counters = open_counters(path);
  if (counters == nullptr) return 1;
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i) workers.emplace_back([=] { run_without_end(i, *counters); });
  for (std::thread& worker : workers) worker.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long threads = argc > 1 ? std::atol(argv[1]) : 1;
  const long iterations = argc > 2 ? std::atol(argv[2]) : 1'000'000;
  if (argc > 3) return run_all_without_end(threads, argv[3]);
  std::vector<Nanoseconds> results(static_cast<std::size_t>(threads));
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < results.size(); ++i)
    workers.emplace_back([&results, i, iterations] { results[i] = run(static_cast<unsigned>(i), iterations); });
  for (std::thread& worker : workers) worker.join();
  Nanoseconds sum;
  for (const Nanoseconds& result : results) {
    sum.wall += result.wall;
    sum.processor += result.processor;
  }
  const auto count = static_cast<double>(threads);
  std::printf("%.1f %.1f\n", sum.wall / count, sum.processor / count);
}
