// SPDX-License-Identifier: Apache-2.0
//
// signals ROUNDS: a timer's handler allocates and frees while the program does, so that it sometimes interrupts a hook.
// Linked with slots_allocator, which allows that. An allocation inside an interrupted hook may be counted as lost, its
// free must not harm; the program's own ones are exact.

#include <sys/time.h>
#include <csignal>

#include <atomic>

#include "tests/targets/truth.h"

namespace {
std::atomic<long> interrupts;
}

SITE void* steady_block() {
  return malloc(100);
}
SITE void* handler_block() {
  return malloc(200);
}

int main(int, char** argv) {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    free(handler_block());
    ++interrupts;
  };
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, nullptr);
  Truth steady;
  for (long i = 0; i < std::strtol(argv[1], nullptr, 10) || interrupts < 1000; ++i) {
    free(steady_block());
    steady.allocated(100), steady.freed(100);
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  tell("steady_block", steady);
  say("handled %ld", interrupts.load());
}
