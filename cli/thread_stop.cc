// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/thread_stop.h"

#include <elf.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <thread>

#include "cli/thread_files.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

constexpr std::size_t kMostStack = std::size_t{256} << 10U;
constexpr std::uint64_t kRedZone = 128;  // x86-64: a leaf function may use these bytes below its stack pointer
// A thread on another processor stops within microseconds. One that waits for ours needs us to give it up.
constexpr auto kSpinning = std::chrono::microseconds(50);
constexpr auto kPause = std::chrono::microseconds(20);

// What the kernel leaves in the result register for a call to be made again unless a handler runs. Never seen by a
// program, so in no header of ours.
constexpr long kRestartWithoutHandler = -514;

void* number(long value) {
  return reinterpret_cast<void*>(value);  // NOLINT(performance-no-int-to-ptr): ptrace's way to take one
}

// While a thread stands still for us nothing must keep us from going on: on a busy machine the wait for a processor
// would be a hundred times the reading. Where we may not ask for that, we have what everyone has.
class Urgency {
 public:
  Urgency() {
    policy_ = sched_getscheduler(0);
    if (policy_ < 0 || sched_getparam(0, &parameters_) != 0) return;
    sched_param urgent{};
    urgent.sched_priority = sched_get_priority_min(SCHED_FIFO);
    is_granted_ = policy_ == SCHED_OTHER && sched_setscheduler(0, SCHED_FIFO, &urgent) == 0;
  }
  ~Urgency() {
    if (is_granted_) sched_setscheduler(0, policy_, &parameters_);
  }
  Urgency(const Urgency&) = delete;
  Urgency& operator=(const Urgency&) = delete;

 private:
  int policy_ = -1;
  sched_param parameters_{};
  bool is_granted_ = false;
};

#if defined(__x86_64__)

MachineRegisters registers_of(const user_regs_struct& user) {
  const unsigned long long in_dwarf_order[] = {user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi,
                                               user.rbp, user.rsp, user.r8,  user.r9,  user.r10, user.r11,
                                               user.r12, user.r13, user.r14, user.r15, user.rip};
  MachineRegisters registers;
  int index = 0;
  for (const unsigned long long value : in_dwarf_order) registers.set(index++, value);
  return registers;
}

bool is_in_call(const user_regs_struct& user) {
  return static_cast<long>(user.orig_rax) >= 0 && static_cast<long>(user.rax) < 0 &&
         static_cast<long>(user.rax) >= -4095;
}

// The number is only there until the thread is back in its own code, so this result is one that nobody has seen yet.
// A close that was broken has closed all the same, and by now the number may be another file's.
void make_call_again(pid_t tid, const user_regs_struct& user) {
  const bool is_broken = static_cast<long>(user.rax) == -EINTR && static_cast<long>(user.orig_rax) != SYS_close;
  if (!is_broken) return;
  ptrace(PTRACE_POKEUSER, tid, number(offsetof(user_regs_struct, rax)), number(kRestartWithoutHandler));
}

#else
#error "reading the registers of a stopped thread is written for x86-64 only"
#endif

}  // namespace

ThreadStopper::ThreadStopper(pid_t pid, const ProcessUnwinder& unwinder)
    : pid_(pid), unwinder_(unwinder), buffer_(kMostStack + kRedZone) {}

ThreadStopResult ThreadStopper::read(pid_t tid, Clock::duration patience) {
  ThreadStopResult result;
  const Urgency urgency;
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) {
    // EPERM is also what the kernel says of a thread that has ended and is not yet out of its list.
    const bool is_gone = errno == ESRCH || ThreadFiles(pid_, tid).has_ended();
    result.kind = is_gone ? ThreadStopResult::Kind::kGone : ThreadStopResult::Kind::kRefused;
    return result;
  }
  last_seen_running_ = Clock::now();
  if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0 || !wait_for_stop(tid, patience, result)) return result;
  const bool is_read = read_stopped(tid, result);
  ptrace(PTRACE_DETACH, tid, nullptr, number(signal_));
  const auto stopped = Clock::now() - last_seen_running_;
  result.stopped_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(stopped).count();
  result.kind = is_read ? ThreadStopResult::Kind::kRead : ThreadStopResult::Kind::kGone;
  result.stack.add(copied_from_, {buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(copied_)});
  return result;
}

// Looks without taking: the status of a process that ends belongs to whoever started it, and may be us.
bool ThreadStopper::wait_for_stop(pid_t tid, Clock::duration patience, ThreadStopResult& result) {
  const auto began = last_seen_running_;
  while (true) {
    siginfo_t info{};
    constexpr int kLook = WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD;
    if (waitid(P_PID, static_cast<id_t>(tid), &info, kLook) != 0) return false;
    const bool has_stopped = info.si_pid == tid && (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED);
    if (has_stopped) {
      // A stop of our making, and that of a process that is stopped as a whole, are told by their event; any other is
      // about a signal on its way.
      signal_ = (info.si_status >> 8) == PTRACE_EVENT_STOP ? 0 : info.si_status & 0xff;
      return true;
    }
    if (info.si_pid == tid) return false;  // it ended
    last_seen_running_ = Clock::now();
    if (last_seen_running_ - began > patience) {
      result.kind = ThreadStopResult::Kind::kNeverStopped;
      return false;
    }
    if (last_seen_running_ - began > kSpinning) std::this_thread::sleep_for(kPause);
  }
}

bool ThreadStopper::read_stopped(pid_t tid, ThreadStopResult& result) {
  copied_ = 0;
  user_regs_struct user{};
  iovec target{&user, sizeof user};
  if (ptrace(PTRACE_GETREGSET, tid, number(NT_PRSTATUS), &target) != 0 || target.iov_len != sizeof user) return false;
  result.registers = registers_of(user);
  result.was_in_call = is_in_call(user);
  make_call_again(tid, user);
  const std::uint64_t stack_pointer = result.registers.stack_pointer();
  const std::uint64_t limit = unwinder_.mapping_limit(stack_pointer);
  const std::uint64_t above = limit > stack_pointer ? limit - stack_pointer : kMostStack;
  for (const std::uint64_t below : {kRedZone, std::uint64_t{0}}) {  // there may be nothing mapped below
    copied_from_ = stack_pointer - below;
    copied_ = read_process_memory(tid, copied_from_, buffer_.data(), std::min(above, kMostStack) + below);
    if (copied_ != 0) break;
  }
  return true;
}

}  // namespace leakwatch
