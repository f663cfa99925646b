// SPDX-License-Identifier: Apache-2.0
//
// Known sizes from several sites, from far below to far above the sampling interval, in one thread, so that a seed
// repeats a run. Half of each site's blocks stay alive; "site" lines carry block size and count for the statistics.

#include "tests/targets/truth.h"

#define SIZED_SITE(bytes)         \
  SITE void* block_of_##bytes() { \
    return malloc(bytes);         \
  }
SIZED_SITE(16)
SIZED_SITE(700)
SIZED_SITE(20000)
SIZED_SITE(65536)
SIZED_SITE(300000)
SIZED_SITE(4194304)

namespace {

struct Mix {
  const char* name;
  void* (*allocate)();
  long bytes, count;
};
constexpr Mix kMix[] = {
    {"block_of_16", block_of_16, 16, 40000},          {"block_of_700", block_of_700, 700, 3000},
    {"block_of_20000", block_of_20000, 20000, 200},   {"block_of_65536", block_of_65536, 65536, 60},
    {"block_of_300000", block_of_300000, 300000, 20}, {"block_of_4194304", block_of_4194304, 4194304, 6}};

}  // namespace

int main() {
  for (long i = 0; i < 40000; ++i) {
    for (const Mix& mix : kMix) {
      if (i % (40000 / mix.count) != 0) continue;
      void* block = mix.allocate();
      if (i / (40000 / mix.count) % 2 == 0) free(block);
    }
  }
  for (const Mix& mix : kMix)
    say("site %s %ld %ld", mix.name, mix.bytes, (40000 + 40000 / mix.count - 1) / (40000 / mix.count));
}
