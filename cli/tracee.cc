// SPDX-License-Identifier: Apache-2.0

#include "cli/tracee.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <csignal>
#include <cstddef>

#include "cli/remote_call_x86_64.h"

namespace leakwatch {

namespace {

constexpr int kLook = WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD;

}  // namespace

TraceeLook look_at_tracee(pid_t tid) {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(tid), &info, kLook) != 0) return {};
  if (info.si_pid != tid) return {.state = TraceeLook::State::kRuns};
  if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) return {};  // it ended
  return {.state = TraceeLook::State::kStopped,
          .signal = info.si_status & 0xff,
          .is_delivery = (info.si_status >> 8) != PTRACE_EVENT_STOP};
}

bool has_news_of_tracees() {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, kLook) == 0 && info.si_pid != 0;
}

std::optional<user_regs_struct> read_registers_and_repair_call(pid_t tid) {
  user_regs_struct registers{};
  iovec target{&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, tid, ptrace_number(NT_PRSTATUS), &target) != 0) return std::nullopt;
  if (target.iov_len != sizeof registers) return std::nullopt;
  if (would_see_interruption(registers))
    ptrace(PTRACE_POKEUSER, tid, ptrace_number(offsetof(user_regs_struct, rax)), ptrace_number(kRestartWithoutHandler));
  return registers;
}

void* ptrace_number(long value) {
  return reinterpret_cast<void*>(value);  // NOLINT(performance-no-int-to-ptr): ptrace's way to take one
}

}  // namespace leakwatch
