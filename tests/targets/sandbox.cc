// SPDX-License-Identifier: Apache-2.0
//
// sandbox HOW [ARG]: allocates, gives up a right that services give up (descriptors, user, root folder, system calls),
// and allocates on, in this thread and in one that had been started before but had not allocated anything.

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <string_view>
#include <thread>

#include "tests/targets/truth.h"

SITE void* block_before() {
  return malloc(100);
}
SITE void* block_after() {
  return malloc(200);
}
SITE void* block_of_thread() {
  return malloc(300);
}

namespace {

sem_t standing, entered;  // the other thread is set up; the right is given up

// What a strict worker needs to compute, answer and end; anything else kills the process.
void allow_few_system_calls() {
  constexpr int kAllowed[] = {SYS_read,
                              SYS_write,
                              SYS_exit,
                              SYS_exit_group,
                              SYS_futex,
                              SYS_brk,
                              SYS_mmap,
                              SYS_munmap,
                              SYS_mprotect,
                              SYS_mremap,
                              SYS_madvise,
                              SYS_rseq,
                              SYS_set_robust_list,
                              SYS_rt_sigprocmask,
                              SYS_rt_sigreturn,
                              SYS_restart_syscall};
  constexpr unsigned kCount = sizeof kAllowed / sizeof *kAllowed;
  sock_filter filter[kCount + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
  for (unsigned i = 0; i < kCount; ++i)
    filter[i + 1] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(kAllowed[i]),
                             static_cast<unsigned char>(kCount - i), 0);
  filter[kCount + 1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[kCount + 2] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{kCount + 3, filter};
  require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  require(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0, "seccomp");
}

void enter(std::string_view how, const char* argument) {
  if (how == "close-range") {
    require(close_range(3, ~0U, 0) == 0, "close_range");
    for (int i = 0; i < 8; ++i) require(open("/dev/null", O_WRONLY) == 3 + i, "a descriptor that is not free");
  } else if (how == "setuid") {
    require(setgroups(0, nullptr) == 0 && setgid(65534) == 0 && setuid(65534) == 0, "setuid");
  } else if (how == "chroot") {
    require(chroot(argument) == 0 && chdir("/") == 0, "chroot");
  } else {
    require(how == "seccomp", "what to do");
    allow_few_system_calls();
  }
}

}  // namespace

int main(int, char** argv) {
  mallopt(M_ARENA_MAX, 8);  // or glibc counts processors when a thread first allocates, and opens files for that
  sem_init(&standing, 0, 0), sem_init(&entered, 0, 0);
  Truth before, after, of_thread;
  std::thread waiting([&] {
    sem_post(&standing);
    sem_wait(&entered);
    for (int i = 0; i < 50'000; ++i) {
      void* block = block_of_thread();
      of_thread.allocated(300);
      if (i % 100 == 0) continue;
      free(block);
      of_thread.freed(300);
    }
  });
  for (int i = 0; i < 10; ++i) {
    require(block_before() != nullptr, "malloc");
    before.allocated(100);
  }
  sem_wait(&standing);
  enter(argv[1], argv[2]);
  sem_post(&entered);
  waiting.join();
  for (int i = 0; i < 50'000; ++i) {
    void* block = block_after();
    after.allocated(200);
    if (i % 100 == 0) continue;
    free(block);
    after.freed(200);
  }
  tell("block_before", before), tell("block_after", after), tell("block_of_thread", of_thread);
}
