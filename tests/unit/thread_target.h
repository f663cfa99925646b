// SPDX-License-Identifier: Apache-2.0
//
// A program with one thread in each place that a thread can be found in, built while a test runs and ended with it. The
// functions that the threads wait in name the place. What a thread lives through it counts in a file that the test has
// mapped as well: nothing has to be asked of the program.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/targets/symbols/fixture.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {

// What the target counts.
struct TargetCounters {
  volatile int ready;    // threads that are at their place
  volatile int broken;   // system calls that returned EINTR
  volatile int handled;  // runs of the handler of SIGUSR1
  volatile int spins;
  volatile int tid;   // of the thread that the mode is about
  volatile int made;  // threads made so far
};

inline constexpr const char* kThreadTarget = R"code(
#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct counters { volatile int ready, broken, handled, spins, tid, made; } *counters;
#define PLACE __attribute__((noinline, noclone)) void
#define KEEP __asm__ volatile("" ::: "memory")

static void arrive(void) { __atomic_add_fetch(&counters->ready, 1, __ATOMIC_SEQ_CST); }
static void count_broken(long result) {
  if (result < 0 && errno == EINTR) __atomic_add_fetch(&counters->broken, 1, __ATOMIC_SEQ_CST);
}

PLACE in_futex(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&mutex);
  arrive();
  for (;;) pthread_cond_wait(&condition, &mutex);
}
PLACE in_epoll(void) {
  struct epoll_event event;
  const int fd = epoll_create1(0);
  arrive();
  for (;;) count_broken(epoll_wait(fd, &event, 1, 600000));
}
PLACE in_sigtimedwait(void) {
  sigset_t set;
  struct timespec limit = {600, 0};
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  arrive();
  for (;;) count_broken(sigtimedwait(&set, NULL, &limit));
}
PLACE in_nanosleep(void) {
  struct timespec limit = {600, 0};
  arrive();
  for (;;) count_broken(nanosleep(&limit, NULL));
}
PLACE in_read(void) {
  int ends[2];
  char byte;
  if (pipe(ends) != 0) abort();
  arrive();
  for (;;) count_broken(read(ends[0], &byte, 1));
}
PLACE in_loop(void) {
  arrive();
  for (;;) ++counters->spins;
}
/* Frames of a size that only the frame pointer knows, and the system call in the innermost one: its caller cannot be
   found without a register. */
PLACE in_framed_epoll(unsigned size) {
  char* room = alloca(size);
  memset(room, 1, size);
  struct epoll_event event;
  const int fd = epoll_create1(0);
  counters->tid = (int)syscall(SYS_gettid);
  arrive();
  for (;;) {
    long result;
    register long timeout __asm__("r10") = 600000;
    __asm__ volatile("syscall" : "=a"(result) : "a"((long)SYS_epoll_wait), "D"((long)fd), "S"(&event), "d"(1L),
                     "r"(timeout) : "rcx", "r11", "memory");
    errno = (int)-result;
    count_broken(result);
  }
  KEEP;
}
PLACE in_framed_sigtimedwait(unsigned size) {
  char* room = alloca(size);
  memset(room, 1, size);
  unsigned long set = 1UL << (SIGUSR2 - 1);
  struct timespec limit = {600, 0};
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  arrive();
  for (;;) {
    long result;
    register long bytes __asm__("r10") = 8;
    __asm__ volatile("syscall" : "=a"(result) : "a"((long)SYS_rt_sigtimedwait), "D"(&set), "S"(0L), "d"(&limit),
                     "r"(bytes) : "rcx", "r11", "memory");
    errno = (int)-result;
    count_broken(result);
  }
  KEEP;
}
PLACE in_vfork(void) {
  arrive();
  const pid_t child = vfork();
  if (child == 0) {
    struct timespec limit = {600, 0};
    syscall(SYS_prctl, 1, SIGKILL);
    syscall(SYS_nanosleep, &limit, NULL);
    _exit(0);
  }
  for (;;) pause();
}
static int in_raw_clone(void* unused) {
  (void)unused;
  arrive();
  for (;;) syscall(SYS_pause);
}
void handler(int number) {
  (void)number;
  __atomic_add_fetch(&counters->handled, 1, __ATOMIC_SEQ_CST);
}
PLACE waits_in_handler(int number) {
  (void)number;
  arrive();
  for (;;) pause();
}
PLACE in_handler(void) {
  signal(SIGURG, waits_in_handler);
  raise(SIGURG);
  KEEP;
}
PLACE deep(int depth) {
  char room[200];
  memset(room, depth, sizeof room);
  KEEP;
  if (depth > 0) deep(depth - 1); else in_futex();
  KEEP;
}

static void* run(void* place) { ((void (*)(void))place)(); return NULL; }
static void* run_framed(void* place) { ((void (*)(unsigned))place)(1000); KEEP; return NULL; }
static void* run_deep(void* unused) { (void)unused; deep(150); KEEP; return NULL; }
static void* run_nothing(void* unused) { return unused; }
static void start(void* (*body)(void*), void* argument) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 * 1024);
  if (pthread_create(&thread, &attributes, body, argument) != 0) abort();
}
static void start_raw(void) {
  char* stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  clone(in_raw_clone, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
        NULL);
}
PLACE churn(void) {
  for (;;) {
    pthread_t threads[8];
    for (int index = 0; index < 8; ++index) {
      if (pthread_create(&threads[index], NULL, run_nothing, NULL) == 0) ++counters->made;
    }
    for (int index = 0; index < 8; ++index) pthread_join(threads[index], NULL);
  }
}
PLACE main_waits(void) {
  arrive();
  for (;;) pause();
}

int main(int argc, char** argv) {
  const int fd = open(argv[1], O_RDWR);
  const char* mode = argv[2];
  const int count = argc > 3 ? atoi(argv[3]) : 1;
  counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct sigaction action = {.sa_handler = handler};
  sigaction(SIGUSR1, &action, NULL);
  if (strcmp(mode, "asleep") == 0) {
    start(run, in_futex);
    start(run, in_epoll);
    start(run, in_sigtimedwait);
    start(run, in_nanosleep);
    start(run, in_read);
    start_raw();
  }
  if (strcmp(mode, "loop") == 0) start(run, in_loop);
  if (strcmp(mode, "framed") == 0) {
    start(run_framed, in_framed_sigtimedwait);
    start(run_framed, in_framed_epoll);
  }
  if (strcmp(mode, "deep") == 0) start(run_deep, NULL);
  if (strcmp(mode, "vfork") == 0) start(run, in_vfork);
  if (strcmp(mode, "handler") == 0) start(run, in_handler);
  if (strcmp(mode, "crowd") == 0) for (int index = 0; index < count; ++index) start(run, in_loop);
  if (strcmp(mode, "many") == 0) for (int index = 0; index < count; ++index) start(run, in_futex);
  if (strcmp(mode, "leaderless") == 0) { start(run, in_futex); arrive(); pthread_exit(NULL); }
  if (strcmp(mode, "churn") == 0) { arrive(); churn(); }
  main_waits();
}
)code";

inline bool waits_for(const auto& condition) {
  for (int tries = 0; tries < 5000; ++tries) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

// The program, running in one mode.
class ThreadTarget {
 public:
  ThreadTarget(const std::string& mode, int threads_ready, int count = 1, const std::string& flags = "") {
    const fixture::Path source = folder_.path() / "target.c";
    std::ofstream(source) << kThreadTarget;
    fixture::Arguments command{"gcc", "-O2", "-pthread", "-fno-optimize-sibling-calls", "-fomit-frame-pointer"};
    for (const std::string& flag : fixture::words(flags)) command.push_back(flag);
    command.insert(command.end(), {"-o", path(), source});
    fixture::run(command);
    std::filesystem::copy_file(path(), path() + ".copy");
    start(mode, count);
    if (!waits_for([&] { return counters().ready >= threads_ready; })) throw std::runtime_error("no target");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // from the count to the wait
  }
  ~ThreadTarget() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    munmap(counters_, kPage);
  }
  ThreadTarget(const ThreadTarget&) = delete;
  ThreadTarget& operator=(const ThreadTarget&) = delete;

  pid_t pid() const { return pid_; }
  TargetCounters& counters() const { return *counters_; }
  std::string path() const { return folder_.path() / "target"; }

 private:
  static constexpr std::size_t kPage = 4096;

  void start(const std::string& mode, int count) {
    const std::string file = folder_.path() / "counters";
    const std::string number = std::to_string(count);
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kPage) != 0) throw std::runtime_error("no counters");
    void* memory = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) throw std::runtime_error("no counters");
    counters_ = static_cast<TargetCounters*>(memory);
    const std::string program = path();
    pid_ = fork();
    if (pid_ != 0) return;
    execl(program.c_str(), program.c_str(), file.c_str(), mode.c_str(), number.c_str(), nullptr);
    _exit(127);
  }

  TemporaryFolder folder_;
  TargetCounters* counters_ = nullptr;
  pid_t pid_ = -1;
};

// Whether this machine lets a process trace its own child.
inline bool may_trace() {
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  const bool is_permitted = ptrace(PTRACE_SEIZE, child, nullptr, nullptr) == 0;
  kill(child, SIGKILL);
  waitpid(child, nullptr, __WALL);
  return is_permitted;
}

#define SKIP_WITHOUT_PTRACE()                                  \
  if (!leakwatch::may_trace()) {                               \
    WARN("skipped: this machine does not permit ptrace here"); \
    return;                                                    \
  }                                                            \
  static_assert(true, "a semicolon follows")

}  // namespace leakwatch
