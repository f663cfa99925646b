// SPDX-License-Identifier: Apache-2.0
//
// threads_storm MAKERS THREADS: each maker creates that many short threads, which are detached in every way that there
// is. Nobody waits for any of them, so they come and go around whoever looks; and as some others only burn time, they
// wait for a processor at their first and at their last step. At the end all are gone.
//
// One that its maker detaches does not end before that is done: pthread_detach looks at the thread's memory after it
// has let go of it, up to glibc 2.36 at least, and dies if the thread has ended in between.
#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>

#include "tests/targets/truth.h"

namespace {

constexpr int kMostAtOnce = 32;
constexpr int kSpinners = 4;
std::atomic<int> alive;
std::atomic<bool> spin_on{true};
long threads_each;

void* ends(void*) {
  --alive;
  return nullptr;
}

void* detaches_itself(void*) {
  pthread_detach(pthread_self());
  --alive;
  return nullptr;
}

void* is_detached(void* done) {
  auto* flag = static_cast<std::atomic<bool>*>(done);
  while (!*flag) sched_yield();
  delete flag;
  return ends(nullptr);
}

void* spins(void*) {
  while (spin_on) __asm__ volatile("" ::: "memory");
  return nullptr;
}

long threads_listed() {
  long count = 0;
  DIR* folder = opendir("/proc/self/task");
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

}  // namespace

SITE void create_detached(long number) {
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (long i = 0; i < number; ++i) {
    while (alive >= kMostAtOnce) usleep(100);
    ++alive;
    pthread_t thread;
    if (i % 3 == 0) {
      require(pthread_create(&thread, &detached, ends, nullptr) == 0, "pthread_create");
    } else if (i % 3 == 1) {
      require(pthread_create(&thread, nullptr, detaches_itself, nullptr) == 0, "pthread_create");
    } else {
      auto* done = new std::atomic<bool>(false);
      require(pthread_create(&thread, nullptr, is_detached, done) == 0, "pthread_create");
      pthread_detach(thread);
      *done = true;
    }
  }
}

SITE void* maker(void*) {
  create_detached(threads_each);
  return nullptr;
}

int main(int argc, char** argv) {
  require(argc == 3, "arguments");
  const int makers = std::atoi(argv[1]);
  threads_each = std::atol(argv[2]);
  require(makers >= 1 && makers <= 16, "arguments");
  pthread_t threads[16], spinners[kSpinners];
  for (pthread_t& thread : spinners) require(pthread_create(&thread, nullptr, spins, nullptr) == 0, "pthread_create");
  for (int i = 0; i < makers; ++i) require(pthread_create(&threads[i], nullptr, maker, nullptr) == 0, "pthread_create");
  for (int i = 0; i < makers; ++i) pthread_join(threads[i], nullptr);
  spin_on = false;
  for (const pthread_t thread : spinners) pthread_join(thread, nullptr);
  while (threads_listed() > 1) usleep(1000);
  tell("create_detached", {makers * threads_each, 0, 0, 0});
}
