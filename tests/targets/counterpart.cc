// SPDX-License-Identifier: Apache-2.0
//
// What tests/conformance/reference does in Go: keeps blocks of two sizes and has workers that wait. SIGTERM ends it.
#include <pthread.h>

#include <csignal>

#include "tests/targets/truth.h"

namespace {

constexpr int kSmallBlocks = 1024;
constexpr int kLargeBlocks = 64;
constexpr int kWorkers = 8;

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t work = PTHREAD_COND_INITIALIZER;
pthread_barrier_t at_work;

}  // namespace

SITE void keep_small() {
  require(malloc(std::size_t{64} << 10) != nullptr, "malloc");
}

SITE void keep_large() {
  require(malloc(std::size_t{1} << 20) != nullptr, "malloc");
}

SITE void wait_for_work() {
  pthread_mutex_lock(&mutex);
  pthread_barrier_wait(&at_work);  // main goes on once it has the mutex: then this one waits
  while (true) pthread_cond_wait(&work, &mutex);
}

SITE void* worker(void* number) {
  char name[16];
  std::snprintf(name, sizeof name, "worker-%ld", reinterpret_cast<long>(number));
  pthread_setname_np(pthread_self(), name);
  wait_for_work();
  return nullptr;
}

SITE void start_worker(long number) {
  pthread_t thread;
  require(pthread_create(&thread, nullptr, worker, reinterpret_cast<void*>(number)) == 0, "pthread_create");
  pthread_barrier_wait(&at_work);
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
}

int main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  for (int i = 0; i < kSmallBlocks; ++i) keep_small();
  for (int i = 0; i < kLargeBlocks; ++i) keep_large();
  pthread_barrier_init(&at_work, nullptr, 2);
  for (long number = 1; number <= kWorkers; ++number) start_worker(number);
  say("pid %d", getpid());
  say("ready");
  int signal = 0;
  sigwait(&signals, &signal);
}
