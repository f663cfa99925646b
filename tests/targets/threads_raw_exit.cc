// SPDX-License-Identifier: Apache-2.0
//
// Threads that leave by the bare system call: no destructor runs, so nothing inside the process tells that they ended.
// Says "ready" when the kernel lists them no more, and stays until it is killed.
#include <pthread.h>

#include <atomic>
#include <ctime>

#include <sys/syscall.h>

#include "tests/targets/truth.h"

namespace {

constexpr std::size_t kStack = 256 * 1024;
std::atomic<int> last_tid;

void* leaves(void*) {
  last_tid = static_cast<int>(syscall(SYS_gettid));
  syscall(SYS_exit, 0);
  return nullptr;
}

void* stays(void*) {
  last_tid = static_cast<int>(syscall(SYS_gettid));
  while (true) pause();
}

pthread_t create(void* (*routine)(void*), int detached) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_attr_setdetachstate(&attributes, detached);
  last_tid = 0;
  pthread_t thread;
  require(pthread_create(&thread, &attributes, routine, nullptr) == 0, "pthread_create");
  while (last_tid == 0) usleep(1000);
  return thread;
}

void await_end() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d", last_tid.load());
  while (access(path, F_OK) == 0) usleep(1000);
}

}  // namespace

SITE void left_unjoined() {
  for (int i = 0; i < 2; ++i) {
    create(leaves, PTHREAD_CREATE_JOINABLE);
    await_end();
  }
  tell("left_unjoined", {2, 0, 2, 2 * kStack});
}

SITE void left_detached() {
  create(leaves, PTHREAD_CREATE_DETACHED);
  await_end();
  tell("left_detached", {1, 0, 0, 0});
}

SITE void left_and_joined() {
  require(pthread_join(create(leaves, PTHREAD_CREATE_JOINABLE), nullptr) == 0, "pthread_join");
  tell("left_and_joined", {1, 0, 0, 0});
}

SITE void still_there() {
  create(stays, PTHREAD_CREATE_JOINABLE);
  tell("still_there", {1, 1, 0, kStack});
}

int main() {
  left_unjoined();
  left_detached();
  left_and_joined();
  still_there();
  say("pid %d", getpid());
  say("ready");
  while (true) pause();
}
