// SPDX-License-Identifier: Apache-2.0
//
// One thread in each kind of place, in a function that names it. With the argument "closed" the process closes itself
// to those who would look in, as ssh-agent does. SIGTERM ends it; then it tells how many system calls were seen to fail
// with EINTR: there is no handler, so none may.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <initializer_list>

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/targets/truth.h"

namespace {

std::atomic<int> arrived, broken;
std::atomic<bool> spin_on{true};
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t never = PTHREAD_COND_INITIALIZER;
int never_word;

void count_broken(long result) {
  if (result < 0 && errno == EINTR) ++broken;
}

}  // namespace

SITE void* at_condition(void*) {
  pthread_setname_np(pthread_self(), "condition-1");
  pthread_mutex_lock(&mutex);
  ++arrived;
  while (true) pthread_cond_wait(&never, &mutex);
}

SITE void* at_epoll(void*) {
  pthread_setname_np(pthread_self(), "epoll-1");
  const int epoll = epoll_create1(0);
  ++arrived;
  while (true) {
    epoll_event event;
    count_broken(epoll_wait(epoll, &event, 1, -1));
  }
}

SITE void* at_poll(void*) {
  ++arrived;
  while (true) count_broken(poll(nullptr, 0, -1));
}

SITE void* at_sleep(void*) {
  ++arrived;
  while (true) {
    const timespec hour{.tv_sec = 3600, .tv_nsec = 0};
    if (clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, nullptr) == EINTR) ++broken;
  }
}

SITE void* at_spin(void*) {
  ++arrived;
  while (spin_on) __asm__ volatile("" ::: "memory");
  return nullptr;
}

// A thread that glibc knows nothing of, on the thread pointer of its creator: it may use nothing of glibc's.
SITE int at_raw_clone(void*) {
  ++arrived;
  while (true) syscall(SYS_futex, &never_word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
}

SITE void create_placed() {
  for (void* (*routine)(void*) : {at_condition, at_epoll, at_poll, at_sleep, at_spin}) {
    pthread_t thread;
    require(pthread_create(&thread, nullptr, routine, nullptr) == 0, "pthread_create");
  }
}

SITE void create_by_clone() {
  constexpr std::size_t kStack = 64 * 1024;
  void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  require(clone(at_raw_clone, static_cast<char*>(stack) + kStack, flags, nullptr) > 0, "clone");
}

SITE void main_waits() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  while (true) {
    const int signal = sigwaitinfo(&signals, nullptr);
    if (signal == SIGTERM) return;
    count_broken(signal);
  }
}

int main(int argc, char**) {
  if (argc > 1) require(prctl(PR_SET_DUMPABLE, 0) == 0, "prctl");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  create_placed();
  create_by_clone();
  while (arrived != 6) sched_yield();
  say("pid %d", getpid());
  say("ready");
  main_waits();
  say("broken %d", broken.load());
  _exit(0);
}
