// SPDX-License-Identifier: Apache-2.0
//
// still [COUNT]: allocates, tells, and waits for ever, or for a signal that kills. Every SIGINT is told.

#include <csignal>

#include "tests/targets/truth.h"

SITE void* kept_block() {
  return malloc(1000);
}
SITE void* dropped_block() {
  return malloc(2000);
}

namespace {
void count_interrupt(int) {
  say("interrupted");
}
}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 100;
  signal(SIGINT, count_interrupt);
  Truth kept, dropped;
  for (long i = 0; i < count; ++i) {
    require(kept_block() != nullptr, "malloc");
    kept.allocated(1000);
    free(dropped_block());
    dropped.allocated(2000), dropped.freed(2000);
  }
  tell("kept_block", kept), tell("dropped_block", dropped);
  say("pid %d", getpid());
  say("ready");
  while (true) pause();
}
