// SPDX-License-Identifier: Apache-2.0

#include "cli/join/orphans.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace leakwatch {

void reap_orphans(std::initializer_list<pid_t> ours) {
  if (getpid() != 1) return;
  // Of this thread alone: others trace threads of the program, and wait for those themselves.
  constexpr int kHow = WNOHANG | __WNOTHREAD;
  for (;;) {
    siginfo_t ended{};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT | kHow) != 0 || ended.si_pid == 0) return;
    if (std::find(ours.begin(), ours.end(), ended.si_pid) != ours.end()) return;
    waitpid(ended.si_pid, nullptr, kHow);
  }
}

}  // namespace leakwatch
