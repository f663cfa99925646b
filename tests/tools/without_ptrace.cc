// SPDX-License-Identifier: Apache-2.0
//
// without-ptrace COMMAND...: runs the command where the kernel denies it to trace other processes or to look into their
// memory, as Yama does on hardened hosts and containers do. What others may read of a process stays readable.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

int main(int, char** argv) {
  constexpr unsigned kDenied[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev};
  constexpr unsigned char kCount = sizeof kDenied / sizeof *kDenied;
  sock_filter filter[kCount + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (unsigned char i = 0; i < kCount; ++i)
    filter[i + 1] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kDenied[i], static_cast<unsigned char>(kCount - i), 0);
  filter[kCount + 1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[kCount + 2] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  const sock_fprog program{kCount + 3, filter};
  if (argv[1] == nullptr || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("without-ptrace");
    return 125;
  }
  // LeakSanitizer looks for leaks by tracing.
  const char* options = std::getenv("ASAN_OPTIONS");
  setenv("ASAN_OPTIONS", (std::string(options == nullptr ? "" : options) + ":detect_leaks=0").c_str(), 1);
  execvp(argv[1], argv + 1);
  std::perror(argv[1]);
  return 127;
}
