// SPDX-License-Identifier: Apache-2.0
//
// many_stacks BITS [PROGRAM]: one allocation from each of 2^BITS different stacks, half of them freed. Then stays long
// enough to be profiled, and becomes PROGRAM.

#include <unistd.h>

#include "tests/targets/truth.h"

SITE void* leaf_block() {
  return malloc(100);
}
SITE void* right(long path, int bits);
SITE void* left(long path, int bits) {
  if (bits == 0) return leaf_block();
  return (path & 1) != 0 ? right(path >> 1, bits - 1) : left(path >> 1, bits - 1);
}
SITE void* right(long path, int bits) {
  if (bits == 0) return leaf_block();
  return (path & 1) != 0 ? right(path >> 1, bits - 1) : left(path >> 1, bits - 1);
}

int main(int arguments, char** argv) {
  const int bits = std::atoi(argv[1]);
  Truth leaf;
  for (long path = 0; path < 1L << bits; ++path) {
    void* block = left(path, bits);
    leaf.allocated(100);
    if (path % 2 == 0) continue;
    free(block);
    leaf.freed(100);
  }
  if (arguments == 2) return tell("leaf_block", leaf), 0;
  usleep(500'000);
  execv(argv[2], argv + 2);
  return 1;
}
