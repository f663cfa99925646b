// SPDX-License-Identifier: Apache-2.0
//
// brief THREADS: threads that live one after the other and allocate a little each, as in a server that starts one per
// request. Sampled, each must draw its own luck: with the same distances in every thread either all or none are seen.

#include <thread>

#include "tests/targets/truth.h"

SITE void* brief_block() {
  return malloc(1024);
}

int main(int, char** argv) {
  const long count = std::strtol(argv[1], nullptr, 10);
  for (long i = 0; i < count; ++i) {
    std::thread([] {
      for (int k = 0; k < 64; ++k) free(brief_block());
    }).join();
  }
  say("site brief_block 1024 %ld", count * 64);
}
