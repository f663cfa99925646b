// SPDX-License-Identifier: Apache-2.0
//
// tide GATE: allocates and frees in waves of several sizes and threads until the file GATE exists, then frees all that
// is left: nothing may be shown as alive at the end.

#include <cstdint>
#include <thread>
#include <vector>

#include "tests/targets/truth.h"

SITE void* tide_block(std::size_t size) {
  return malloc(size);
}

SITE void tide(std::uint64_t random, const char* gate) {
  std::vector<void*> held(2000);
  while (access(gate, F_OK) != 0) {
    for (void*& place : held) {
      random = random * 6364136223846793005 + 1442695040888963407;
      if (random >> 63 != 0) {
        free(place);
        place = tide_block((random >> 33) % 5000);
      } else if (place != nullptr) {
        place = realloc(place, 1 + (random >> 33) % 9000);
      }
    }
  }
  for (void* block : held) free(block);
}

int main(int, char** argv) {
  say("pid %d", getpid());
  say("ready");
  std::thread other(tide, 1, argv[1]);
  tide(2, argv[1]);
  other.join();
  say("done");
}
