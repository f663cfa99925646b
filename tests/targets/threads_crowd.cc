// SPDX-License-Identifier: Apache-2.0
//
// threads_crowd MAKERS THREADS: each maker creates and joins that many threads one after the other. After a tenth of
// them it says "ready", after all of them "done", and both times stands still until SIGUSR2, so that what leakwatch and
// this program use can be compared.
#include <pthread.h>

#include <csignal>
#include <initializer_list>

#include "tests/targets/truth.h"

namespace {

pthread_barrier_t still;
long threads_each;

void* nothing(void*) {
  return nullptr;
}

void stand_still() {
  pthread_barrier_wait(&still);  // all have come
  pthread_barrier_wait(&still);  // main lets go
}

}  // namespace

SITE void create_and_join(long number) {
  for (long i = 0; i < number; ++i) {
    pthread_t thread;
    require(pthread_create(&thread, nullptr, nothing, nullptr) == 0, "pthread_create");
    require(pthread_join(thread, nullptr) == 0, "pthread_join");
  }
}

SITE void* maker(void*) {
  const long tenth = threads_each / 10;
  create_and_join(tenth);
  stand_still();
  create_and_join(threads_each - tenth);
  stand_still();
  return nullptr;
}

SITE pthread_t create_maker() {
  pthread_t thread;
  require(pthread_create(&thread, nullptr, maker, nullptr) == 0, "pthread_create");
  return thread;
}

int main(int argc, char** argv) {
  require(argc == 3, "arguments");
  const int makers = std::atoi(argv[1]);
  threads_each = std::atol(argv[2]);
  require(makers >= 1 && makers <= 64, "arguments");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  pthread_barrier_init(&still, nullptr, static_cast<unsigned>(makers) + 1);
  pthread_t threads[64];
  for (int i = 0; i < makers; ++i) threads[i] = create_maker();
  say("pid %d", getpid());
  for (const char* word : {"ready", "done"}) {
    pthread_barrier_wait(&still);
    say("%s", word);
    int signal = 0;
    sigwait(&signals, &signal);
    pthread_barrier_wait(&still);
  }
  for (int i = 0; i < makers; ++i) pthread_join(threads[i], nullptr);
  tell("create_and_join", {makers * threads_each, 0, 0, 0});
  tell("create_maker", {makers, 0, 0, 0});
}
