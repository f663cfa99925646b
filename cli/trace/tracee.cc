// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/trace/tracee.h"

#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <csignal>

#include "cli/process/status_file.h"

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

std::optional<std::uint64_t> read_signal_mask(pid_t tid) {
  std::uint64_t mask = 0;
  if (ptrace(PTRACE_GETSIGMASK, tid, ptrace_number(sizeof mask), &mask) != 0) return std::nullopt;
  return mask;
}

void set_signal_mask(pid_t tid, std::uint64_t mask) {
  ptrace(PTRACE_SETSIGMASK, tid, ptrace_number(sizeof mask), &mask);
}

bool has_caught_signal(pid_t tid, int delivered) {
  const StatusFile status = StatusFile::of_thread(tid, tid);
  const std::uint64_t waiting =
      (status.number("SigPnd", 16) | status.number("ShdPnd", 16)) & ~status.number("SigBlk", 16);
  const std::uint64_t taken = delivered > 0 ? std::uint64_t{1} << (delivered - 1) : 0;  // is not pending any more
  return ((waiting | taken) & status.number("SigCgt", 16)) != 0;
}

std::size_t read_register_set(pid_t tid, long kind, void* into, std::size_t size) {
  iovec target{into, size};
  return ptrace(PTRACE_GETREGSET, tid, ptrace_number(kind), &target) == 0 ? target.iov_len : 0;
}

bool set_register_set(pid_t tid, long kind, const void* from, std::size_t size) {
  iovec source{const_cast<void*>(from), size};
  return ptrace(PTRACE_SETREGSET, tid, ptrace_number(kind), &source) == 0;
}

void* ptrace_number(long value) {
  return reinterpret_cast<void*>(value);  // NOLINT(performance-no-int-to-ptr): ptrace's way to take one
}

}  // namespace leakwatch
