// SPDX-License-Identifier: Apache-2.0
//
// asleep [closed|PROCESSES]: a service that allocates a little all the time, and keeps ten blocks of 1000 bytes with
// every SIGUSR2. closed: has closed all descriptors that it can and itself to those who would look in. PROCESSES: so
// many workers, made by fork, do that, and the first process waits for them. SIGTERM ends it.

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <ctime>
#include <initializer_list>
#include <string_view>

#include "tests/targets/truth.h"

SITE void* kept_block() {
  return malloc(1000);
}
SITE void* short_block() {
  return malloc(5000);
}

namespace {

sigset_t signals;

void live() {
  constexpr timespec kPause{0, 2'000'000};
  say("pid %d", getpid());
  for (long round = 1;;) {
    const int signal = sigtimedwait(&signals, nullptr, &kPause);
    if (signal == SIGTERM) return;
    if (signal == SIGUSR2) {
      for (int i = 0; i < 10; ++i) require(kept_block() != nullptr, "malloc");
      say("kept %ld by %d", round++, getpid());
    }
    free(short_block());
  }
}

void close_itself() {
  require(close_range(3, ~0U, 0) == 0, "close_range");
  for (int i = 0; i < 8; ++i) require(open("/dev/null", O_WRONLY) == 3 + i, "a descriptor that is not free");
  require(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "prctl");
}

int lead(int workers) {
  for (int i = 0; i < workers; ++i) {
    if (fork() == 0) return live(), 0;
  }
  int status = 0;
  for (int i = 0; i < workers; ++i) require(wait(&status) > 0 && status == 0, "a worker");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  sigemptyset(&signals);
  for (const int number : {SIGUSR2, SIGTERM}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const std::string_view how = argc > 1 ? argv[1] : "";
  if (how == "closed")
    close_itself();
  else if (!how.empty())
    return lead(std::atoi(argv[1]));
  live();
}
