// SPDX-License-Identifier: Apache-2.0
//
// called COUNTERS MODE: a program whose threads are made to call a function of it from outside, and which verify for
// ever that they notice nothing. What they live through they count in a file that the test has mapped as well.
#define _GNU_SOURCE
#include "called.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PLACE __attribute__((noinline, noclone)) void

static struct called_counters* counters;
static __thread char alternate[32 * 1024];

static void add(volatile int* counter) {
  __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

// What leakwatch calls. It takes what the loader and the attached object will take, and leaves nothing as it was that a
// function may change.
void called(const char* text, long a, long b, long c, long d, long e) {
  sigset_t now;
  char* block = malloc(1000);
  const int is_right = strcmp(text, CALLED_TEXT) == 0 && a == 1 && b == -2 && c == 3 && d == 4 && e == 5;
  if (!is_right) add(&counters->wrong_arguments);
  sigprocmask(SIG_BLOCK, NULL, &now);
  if (!sigismember(&now, SIGALRM) || !sigismember(&now, SIGUSR1) || sigismember(&now, SIGSEGV)) {
    add(&counters->wrong_mask);
  }
  if ((char*)&now >= alternate && (char*)&now < alternate + sizeof alternate) add(&counters->on_small_stack);
  dlclose(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD));
  memset(block, 1, 1000);
  free(block);
  clobber_registers();
  errno = 77;
  add(&counters->calls);
}

static void handler(int number) {
  const int saved = errno;
  (void)number;
  add(&counters->handled);
  errno = saved;
}

// At times one signal chases the other, at times there is room for a slow observer between two.
static void handle_and_go_on(int number) {
  static unsigned long random = 1;
  const int saved = errno;
  random = random * 6364136223846793005 + 1442695040888963407;
  const struct itimerval next = {{0, 0}, {0, (suseconds_t)(100L << (random >> 61))}};
  handler(number);
  setitimer(ITIMER_REAL, &next, NULL);
  errno = saved;
}

static void set_up_alternate_stack(void) {
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
}

// What a call must not have changed, and what nobody but the thread itself can see.
static void check_thread(void) {
  sigset_t mask;
  stack_t stack;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  sigaltstack(NULL, &stack);
  if (!sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGUSR1) || sigismember(&mask, SIGALRM) ||
      stack.ss_sp != alternate || stack.ss_size != sizeof alternate || stack.ss_flags != 0) {
    add(&counters->damaged);
  }
  add(&counters->checks);
}

static long sleep_in(const char* mode, int descriptor, int poller) {
  static int word;
  struct epoll_event event;
  struct timespec limit = {600, 0};
  struct pollfd poll_set = {descriptor, POLLIN, 0};
  sigset_t none;
  fd_set readable;
  char byte;
  sigemptyset(&none);
  FD_ZERO(&readable);
  if (strcmp(mode, "read") == 0) return read(descriptor, &byte, 1);
  if (strcmp(mode, "epoll") == 0) return epoll_wait(poller, &event, 1, -1);
  if (strcmp(mode, "epoll-limit") == 0) return epoll_wait(poller, &event, 1, 600000);
  if (strcmp(mode, "epoll-mask") == 0) return epoll_pwait(poller, &event, 1, -1, &none);
  if (strcmp(mode, "poll") == 0) return poll(&poll_set, 1, -1);
  if (strcmp(mode, "poll-limit") == 0) return poll(&poll_set, 1, 600000);
  if (strcmp(mode, "ppoll") == 0) return ppoll(&poll_set, 1, &limit, &none);
  if (strcmp(mode, "select") == 0) return select(0, &readable, NULL, NULL, NULL);
  if (strcmp(mode, "sigwait") == 0) return sigtimedwait(&none, NULL, NULL);
  if (strcmp(mode, "sigwait-limit") == 0) return sigtimedwait(&none, NULL, &limit);
  if (strcmp(mode, "nanosleep") == 0) return syscall(SYS_nanosleep, &limit, NULL);
  if (strcmp(mode, "clock_nanosleep") == 0) return nanosleep(&limit, NULL);
  if (strcmp(mode, "sleep-by-stack") == 0)
    return call_by_stack(CLOCK_MONOTONIC, 0, (long)&limit, 0, 0, 0, SYS_clock_nanosleep);
  if (strcmp(mode, "sleep-by-code") == 0) {
    errno = (int)-sleep_by_code(CLOCK_MONOTONIC, 0, &limit, NULL);
    return -1;
  }
  if (strcmp(mode, "sleep-by-argument") == 0)
    return call_by_argument(CLOCK_MONOTONIC, 0, (long)&limit, 0, 0, 0, SYS_clock_nanosleep);
  if (strcmp(mode, "pause") == 0) return pause();
  if (strcmp(mode, "futex") == 0) return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
  if (strcmp(mode, "futex-limit") == 0) return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0);
  return 0;
}

// A call that ends is in order only after a handler has run.
static void sleep_for_ever(const char* mode) {
  int ends[2];
  if (pipe(ends) != 0) abort();
  const int poller = epoll_create1(0);
  set_up_alternate_stack();
  add(&counters->ready);
  for (;;) {
    const int handled = counters->handled;
    errno = 55;
    const long result = sleep_in(mode, ends[0], poller);
    if (result != -1 || errno != EINTR || counters->handled == handled) add(&counters->interrupted);
    check_thread();
  }
}

static void spin_for_ever(void) {
  set_up_alternate_stack();
  add(&counters->ready);
  for (;;) {
    errno = 1234;
    if (spin_and_check(5000) != 0 || errno != 1234) add(&counters->damaged);
    ++counters->spins;
    check_thread();
  }
}

static void* spin(void* unused) {
  (void)unused;
  spin_for_ever();
  return NULL;
}

static void* sleeper(void* mode) {
  sleep_for_ever(mode);
  return NULL;
}

static void* storm(void* unused) {
  char* blocks[64] = {0};
  unsigned random = (unsigned)(uintptr_t)&blocks;
  (void)unused;
  add(&counters->ready);
  for (;;) {
    random = random * 1103515245 + 12345;
    const unsigned slot = random >> 16 & 63;
    const size_t size = random >> 8 & 4095;
    if (blocks[slot] != NULL && (unsigned char)blocks[slot][0] != slot) add(&counters->damaged);
    blocks[slot] = realloc(blocks[slot], size + 1);
    memset(blocks[slot], (int)slot, size + 1);
    if ((random & 7) == 0) {
      free(blocks[slot]);
      blocks[slot] = NULL;
    }
    ++counters->spins;
  }
  return NULL;
}

static void* load_and_unload(void* unused) {
  (void)unused;
  add(&counters->ready);
  for (;;) {
    void* library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || dlsym(library, "ns_get16") == NULL || dlclose(library) != 0) add(&counters->damaged);
    ++counters->loads;
  }
  return NULL;
}

static void start(void* (*body)(void*), void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, argument) != 0) abort();
}

static void stays_in_handler(int number) {
  (void)number;
  add(&counters->ready);
  for (;;) pause();
}

static void coroutine(void) {
  add(&counters->ready);
  for (;;) pause();
}

static void run_coroutine(void) {
  static ucontext_t here, there;
  const size_t size = 1024 * 1024;
  getcontext(&there);
  there.uc_stack.ss_sp = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  there.uc_stack.ss_size = size;
  makecontext(&there, coroutine, 0);
  swapcontext(&here, &there);
}

static void set_up_signals(void) {
  struct sigaction action = {.sa_handler = handler};
  sigset_t blocked;
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);  // which only those calls let in that have a mask of their own
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
}

int main(int argc, char** argv) {
  const int fd = open(argv[1], O_RDWR);
  const char* mode = argc > 2 ? argv[2] : "";
  counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  set_up_signals();
  if (strcmp(mode, "spin") == 0) spin_for_ever();
  if (strcmp(mode, "tiles") == 0) spin_with_tiles(counters);
  if (strcmp(mode, "signals") == 0) {
    signal(SIGALRM, handle_and_go_on);
    raise(SIGALRM);
    spin_for_ever();
  }
  if (strcmp(mode, "storm") == 0) {
    for (int index = 0; index < 8; ++index) start(storm, NULL);
    load_and_unload(NULL);
  }
  if (strcmp(mode, "choice") == 0) {
    start(spin, NULL);
    start(sleeper, "nanosleep");
    start(sleeper, "epoll");
    start(sleeper, "read");
    mode = "poll-limit";
  }
  if (strcmp(mode, "handler") == 0) {
    signal(SIGURG, stays_in_handler);
    raise(SIGURG);
  }
  if (strcmp(mode, "alternate") == 0) {
    struct sigaction action = {.sa_handler = stays_in_handler, .sa_flags = SA_ONSTACK};
    set_up_alternate_stack();
    sigaction(SIGURG, &action, NULL);
    raise(SIGURG);
  }
  if (strcmp(mode, "coroutine") == 0) run_coroutine();
  sleep_for_ever(mode);
}
