// SPDX-License-Identifier: Apache-2.0
//
// crowd THREADS: that many threads live at once, each allocates ten blocks and frees nine of them, and only then may
// any end. A second crowd of eight comes after, and must not suffer from the first.

#include <barrier>
#include <thread>
#include <vector>

#include "tests/targets/truth.h"

SITE void* crowd_block() {
  return malloc(50);
}
SITE void* later_block() {
  return malloc(60);
}

namespace {

Truth run(long count, void* (*allocate)(), long bytes) {
  std::barrier gate(count);
  std::vector<std::thread> threads;
  for (long i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      gate.arrive_and_wait();
      for (int k = 0; k < 10; ++k) {
        void* block = allocate();
        if (k != 0) free(block);
      }
      gate.arrive_and_wait();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return {count * 10, count * 10 * bytes, count, count * bytes};
}

}  // namespace

int main(int, char** argv) {
  tell("crowd_block", run(std::strtol(argv[1], nullptr, 10), crowd_block, 50));
  tell("later_block", run(8, later_block, 60));
}
