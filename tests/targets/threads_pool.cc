// SPDX-License-Identifier: Apache-2.0
//
// A service whose pool grows by one thread with every request and never shrinks. SIGUSR2 is a request; SIGTERM ends it.
#include <pthread.h>

#include <csignal>

#include "tests/targets/truth.h"

namespace {

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t work = PTHREAD_COND_INITIALIZER;
pthread_barrier_t at_work;

}  // namespace

SITE void wait_for_work() {
  pthread_mutex_lock(&mutex);
  pthread_barrier_wait(&at_work);  // main goes on once it has the mutex: then this one waits
  while (true) pthread_cond_wait(&work, &mutex);
}

SITE void* pool_worker(void* number) {
  char name[16];
  std::snprintf(name, sizeof name, "pool-worker-%ld", reinterpret_cast<long>(number));
  pthread_setname_np(pthread_self(), name);
  wait_for_work();
  return nullptr;
}

SITE void grow_pool(long number) {
  pthread_t thread;
  require(pthread_create(&thread, nullptr, pool_worker, reinterpret_cast<void*>(number)) == 0, "pthread_create");
  pthread_barrier_wait(&at_work);
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
}

SITE void handle_request(long number) {
  grow_pool(number);
  say("request %ld", number);
}

int main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  pthread_barrier_init(&at_work, nullptr, 2);
  handle_request(0);
  say("pid %d", getpid());
  say("ready");
  int signal = 0;
  for (long number = 1; sigwait(&signals, &signal) == 0 && signal == SIGUSR2; ++number) handle_request(number);
}
