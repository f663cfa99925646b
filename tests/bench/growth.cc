// SPDX-License-Identifier: Apache-2.0
//
// growth THREADS LIVE STACKS DEPTH EVENTS: a load that can be made larger in one respect at a time. THREADS threads
// keep LIVE blocks in all. In a batch they together make EVENTS events: half of them free a block at random, and the
// other half allocate one in its place, by one of STACKS call paths, DEPTH frames below the thread's start. Paths
// differ in the frames next to the allocation, two ways at each, so there are at most 2^(DEPTH - 1) of them.
//
// Prints a line when all blocks are there. For each line of its standard input it then runs a batch, and prints the
// processor time of its threads, in nanoseconds per event. Ends when its standard input does.

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/bench/processor_time.h"

namespace {

volatile std::uintptr_t consumed;

struct Load {
  std::size_t live = 0;  // of a thread
  std::uint64_t stacks = 1;
  int depth = 1;
  long pairs = 0;  // of a thread, in a batch
};

struct Worker {
  std::uint64_t random;
  std::vector<void*> live;
  double processor_ns = 0;  // of the last batch

  std::uint64_t next() {  // xorshift64 (Marsaglia)
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  }
};

// The path's lowest bit chooses between two calls of the last level, the next one between two of that above it.
[[gnu::noinline]] void* descend(int level, std::uint64_t path) {
  void* block = nullptr;
  if (level <= 1) {
    block = std::malloc(24);
  } else if (level <= 64 && ((path >> (level - 2)) & 1) != 0) {
    block = descend(level - 1, path);
    consumed = consumed + 1;  // not a tail call, and not the same place
  } else {
    block = descend(level - 1, path);
  }
  consumed = consumed + 1;
  return block;
}

void* allocate(Worker& worker, const Load& load) {
  return descend(load.depth, worker.next() % load.stacks);
}

void run_batch(Worker& worker, const Load& load) {
  for (long i = 0; i < load.pairs; ++i) {
    void*& place = worker.live[worker.next() % worker.live.size()];
    std::free(place);
    place = allocate(worker, load);
  }
}

pthread_barrier_t barrier;
std::atomic<bool> is_over{false};

void work(Worker& worker, const Load& load) {
  worker.live.resize(load.live);
  for (void*& place : worker.live) place = allocate(worker, load);
  pthread_barrier_wait(&barrier);  // all is there
  while (true) {
    pthread_barrier_wait(&barrier);  // a batch begins
    if (is_over) return;
    const double begin = processor_time();
    run_batch(worker, load);
    worker.processor_ns = processor_time() - begin;
    pthread_barrier_wait(&barrier);  // it ends
  }
}

bool read_line() {
  int byte = 0;
  do byte = std::getchar();
  while (byte != '\n' && byte != EOF);
  return byte == '\n';
}

long argument(int argc, char** argv, int index, long otherwise) {
  return argc > index ? std::max(std::atol(argv[index]), 1L) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const long threads = argument(argc, argv, 1, 1), live = argument(argc, argv, 2, 1000);
  const Load load{.live = static_cast<std::size_t>(std::max(live / threads, 1L)),
                  .stacks = static_cast<std::uint64_t>(argument(argc, argv, 3, 1000)),
                  .depth = static_cast<int>(argument(argc, argv, 4, 20)),
                  .pairs = std::max(argument(argc, argv, 5, 1'000'000) / 2 / threads, 1L)};
  pthread_barrier_init(&barrier, nullptr, static_cast<unsigned>(threads) + 1);
  std::vector<Worker> workers(static_cast<std::size_t>(threads));
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers[i].random = 0x9e3779b97f4a7c15u * (i + 1);
    running.emplace_back([&worker = workers[i], &load] { work(worker, load); });
  }
  pthread_barrier_wait(&barrier);
  std::printf("filled\n");
  std::fflush(stdout);
  while (read_line()) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    double sum = 0;
    for (const Worker& worker : workers) sum += worker.processor_ns;
    std::printf("%.2f\n", sum / 2 / static_cast<double>(load.pairs * threads));
    std::fflush(stdout);
  }
  is_over = true;
  pthread_barrier_wait(&barrier);
  for (std::thread& thread : running) thread.join();
}
