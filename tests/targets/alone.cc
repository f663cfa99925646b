// SPDX-License-Identifier: Apache-2.0
//
// alone SECONDS SLOTS: a thread that is mostly the only one that allocates, and another one that breaks in again and
// again. Both put new blocks into the same few slots and free what was there, so that addresses go to and fro between
// them just when one was alone, or is about to be. They allocate in functions of their own: an event that is taken for
// an earlier or a later one than it is has the wrong one's block live.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/targets/join_point.h"
#include "tests/targets/truth.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Block {
  long size;
  bool is_of_guest;
};
std::vector<std::atomic<Block*>> slots;
std::atomic<bool> is_over;

}  // namespace

SITE Block* host_block(long size) {
  auto* block = static_cast<Block*>(malloc(static_cast<std::size_t>(size)));
  *block = {size, false};
  return block;
}

SITE Block* guest_block(long size) {
  auto* block = static_cast<Block*>(malloc(static_cast<std::size_t>(size)));
  *block = {size, true};
  return block;
}

namespace {

// Of three sizes: most blocks go where another one of the same size was.
class Worker {
 public:
  Worker(Block* (*make)(long), std::uint64_t seed) : make_(make), random_(seed) {}
  std::uint64_t next() { return random_ = random_ * 6364136223846793005 + 1442695040888963407; }
  void work(std::uint64_t rounds) {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      const std::uint64_t number = next() >> 33;
      const long size = 24 + static_cast<long>(number % 3) * 16;
      ++made.alloc_objects;
      made.alloc_space += size;
      free(slots[number / 3 % slots.size()].exchange(make_(size)));
    }
  }
  Truth made;

 private:
  Block* (*make_)(long);
  std::uint64_t random_;
};

// Pauses from none to what it takes to leave the other one alone for some time.
void break_in(Worker& guest) {
  while (!is_over) {
    guest.work(1 + (guest.next() >> 60));
    std::this_thread::sleep_for(std::chrono::microseconds((guest.next() >> 50) * (guest.next() >> 63) * 3));
  }
}

}  // namespace

int main(int, char** argv) {
  wait_to_be_joined();
  slots = std::vector<std::atomic<Block*>>(std::strtoul(argv[2], nullptr, 10));
  Worker host(host_block, 1), guest(guest_block, 2);
  std::thread thread(break_in, std::ref(guest));
  const auto end = Clock::now() + std::chrono::seconds(std::strtol(argv[1], nullptr, 10));
  while (Clock::now() < end) host.work(100);
  is_over = true;
  thread.join();
  for (const auto& slot : slots) {
    const Block* block = slot;
    if (block == nullptr) continue;
    Truth& truth = block->is_of_guest ? guest.made : host.made;
    ++truth.inuse_objects;
    truth.inuse_space += block->size;
  }
  tell("host_block", host.made);
  tell("guest_block", guest.made);
}
