// SPDX-License-Identifier: Apache-2.0
//
// exchange THREADS ROUNDS SLOTS: threads that free each other's blocks. Each round puts a new block into a slot and
// frees what was there, most often a block of another thread. Few slots: addresses go round as fast as they can, and an
// event that is stamped a little wrong shows. What is in the slots at the end stays alive.

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/targets/join_point.h"
#include "tests/targets/truth.h"

namespace {

struct Block {
  long size;
};
std::vector<std::atomic<Block*>> slots;
std::atomic<long> alloc_objects, alloc_space;

}  // namespace

SITE Block* exchanged_block(long size) {
  auto* block = static_cast<Block*>(malloc(static_cast<std::size_t>(size)));
  block->size = size;
  return block;
}

SITE void work(std::uint64_t random, long rounds) {
  long bytes = 0;
  for (long i = 0; i < rounds; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const long size = 16 + static_cast<long>(random >> 40) % 497;
    bytes += size;
    free(slots[(random >> 33) % slots.size()].exchange(exchanged_block(size)));
  }
  alloc_objects += rounds;
  alloc_space += bytes;
}

int main(int, char** argv) {
  wait_to_be_joined();
  slots = std::vector<std::atomic<Block*>>(std::strtoul(argv[3], nullptr, 10));
  std::vector<std::thread> threads;
  for (long i = 0; i < std::strtol(argv[1], nullptr, 10); ++i)
    threads.emplace_back(work, i + 1, std::strtol(argv[2], nullptr, 10));
  for (std::thread& thread : threads) thread.join();
  Truth truth{alloc_objects, alloc_space};
  for (const auto& slot : slots) {
    if (slot == nullptr) continue;
    ++truth.inuse_objects;
    truth.inuse_space += slot.load()->size;
  }
  tell("exchanged_block", truth);
}
