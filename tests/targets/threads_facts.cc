// SPDX-License-Identifier: Apache-2.0
//
// One thread of which everything is known: its name, which it changes at SIGUSR2, the function that it starts in, the
// size of its stack and of the guard below, and how much of the stack it has used; and one that ended and nobody
// joined. SIGTERM ends the program.
#include <pthread.h>

#include <atomic>
#include <csignal>

#include <sys/syscall.h>

#include "tests/targets/truth.h"

namespace {

constexpr std::size_t kStack = 4096 * 1024, kGuard = 64 * 1024, kUsed = 1024 * 1024;
std::atomic<int> used, ended;
pthread_t renamed;

pthread_t create(void* (*routine)(void*)) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_attr_setguardsize(&attributes, kGuard);
  pthread_t thread;
  require(pthread_create(&thread, &attributes, routine, nullptr) == 0, "pthread_create");
  return thread;
}

}  // namespace

SITE void use_stack() {
  auto* room = static_cast<volatile char*>(__builtin_alloca(kUsed));
  for (std::size_t i = 0; i < kUsed; i += 4096) room[i] = 1;
}

SITE void* uses_its_stack(void*) {
  use_stack();
  used = static_cast<int>(syscall(SYS_gettid));
  while (true) pause();
}

SITE void* ends_unjoined(void*) {
  ended = static_cast<int>(syscall(SYS_gettid));
  return nullptr;
}

SITE void create_unjoined() {
  create(ends_unjoined);
  while (ended == 0) usleep(1000);
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d", ended.load());
  while (access(path, F_OK) == 0) usleep(1000);
}

int main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  renamed = create(uses_its_stack);
  pthread_setname_np(renamed, "first name");
  create_unjoined();
  while (used == 0) usleep(1000);
  say("pid %d", getpid());
  say("user %d", used.load());
  say("unjoined %d", ended.load());
  say("ready");
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGUSR2) {
    pthread_setname_np(renamed, "second name");
    say("renamed");
  }
}
