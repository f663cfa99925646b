// SPDX-License-Identifier: Apache-2.0
//
// A thread that forks while others come and go; each child makes threads of its own and joins them. What the children
// do is not the parent's: its threads are told as if there had been none.
#include <pthread.h>

#include <atomic>

#include <sys/wait.h>

#include "tests/targets/truth.h"

namespace {

constexpr int kChildren = 20;
std::atomic<bool> stop;
long made;

void* nothing(void*) {
  return nullptr;
}

void create_and_join() {
  pthread_t thread;
  require(pthread_create(&thread, nullptr, nothing, nullptr) == 0, "pthread_create");
  require(pthread_join(thread, nullptr) == 0, "pthread_join");
}

}  // namespace

SITE void in_child() {
  for (int i = 0; i < 5; ++i) create_and_join();
}

SITE void in_parent() {
  create_and_join();
  ++made;
}

SITE void* busy(void*) {
  while (!stop) in_parent();
  return nullptr;
}

SITE void* forks(void*) {
  for (int i = 0; i < kChildren; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      in_child();
      if (i % 2 == 0) pthread_exit(nullptr);  // the only thread that is left: the child ends with status 0
      _exit(0);
    }
    int status = -1;
    require(waitpid(child, &status, 0) == child && status == 0, "a child");
  }
  return nullptr;
}

SITE pthread_t create_worker(void* (*routine)(void*)) {
  pthread_t thread;
  require(pthread_create(&thread, nullptr, routine, nullptr) == 0, "pthread_create");
  return thread;
}

int main() {
  const pthread_t worker = create_worker(busy);
  const pthread_t forker = create_worker(forks);
  pthread_join(forker, nullptr);
  stop = true;
  pthread_join(worker, nullptr);
  tell("in_parent", {made, 0, 0, 0});
  tell("in_child", {});
  tell("create_worker", {2, 0, 0, 0});
}
