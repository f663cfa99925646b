// SPDX-License-Identifier: Apache-2.0
//
// keeper [NEXT]: keeps ten blocks of 1000 bytes with every SIGUSR2, and says so. SIGUSR1: becomes the program NEXT.
// SIGHUP: makes a child, which says so and does as its parent does. SIGTERM ends it.

#include <csignal>
#include <initializer_list>

#include "tests/targets/truth.h"

#ifdef FAR  // a segment of its own, which the linker is told to put far from the others
#define KEPT_SITE SITE __attribute__((section(".far")))
#else
#define KEPT_SITE SITE
#endif

KEPT_SITE void* kept_block() {
  return malloc(1000);
}

SITE void keep_ten(long round) {
  for (int i = 0; i < 10; ++i) require(kept_block() != nullptr, "malloc");
  say("kept %ld", round);
}

int main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  keep_ten(0);
  say("pid %d", getpid());
  say("ready");
  int signal = 0;
  for (long round = 1; sigwait(&signals, &signal) == 0 && signal != SIGTERM; ++round) {
    if (signal == SIGUSR1 && argc > 1) execv(argv[1], argv + 1);
    if (signal != SIGHUP)
      keep_ten(round);
    else if (fork() == 0)
      say("child %d", getpid());
  }
}
