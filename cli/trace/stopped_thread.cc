// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/trace/stopped_thread.h"

#include <sys/ptrace.h>
#include <sys/uio.h>

#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>

namespace leakwatch {

namespace {

// A thread on another processor stops within microseconds. One that waits for ours needs us to give it up.
constexpr auto kSpinning = std::chrono::microseconds(50);
constexpr auto kPause = std::chrono::microseconds(20);

}  // namespace

StoppedThread::StoppedThread(pid_t tid, Clock::duration patience, Observer observer)
    : tid_(tid), observer_(std::move(observer)) {
  if (ptrace(PTRACE_SEIZE, tid_, nullptr, nullptr) != 0) {
    state_ = errno == ESRCH ? State::kGone : State::kRefused;
    return;
  }
  is_traced_ = true;
  observe(CallStep::kSeized);
  const machine::BeforeStop before = look_before_stop(tid_);
  last_seen_running_ = Clock::now();
  if (ptrace(PTRACE_INTERRUPT, tid_, nullptr, nullptr) != 0) return;
  observe(CallStep::kInterrupted);
  if (!wait_for_stop(patience)) return;
  repair_broken_call(before);
  observe(CallStep::kStopped);
}

bool StoppedThread::wait_for_stop(Clock::duration patience) {
  const auto began = last_seen_running_;
  while (true) {
    const TraceeLook look = look_at_tracee(tid_);
    if (look.state == TraceeLook::State::kStopped) note_stop(look);
    if (look.state != TraceeLook::State::kRuns) return look.state == TraceeLook::State::kStopped;
    last_seen_running_ = Clock::now();
    if (last_seen_running_ - began > patience) {
      state_ = State::kNeverStopped;
      return false;
    }
    if (last_seen_running_ - began > kSpinning) std::this_thread::sleep_for(kPause);
  }
}

void StoppedThread::note_stop(const TraceeLook& look) {
  if (look.is_delivery) {
    state_ = State::kUnderSignal;
    signal_ = look.signal;
    return;
  }
  state_ = look.signal == SIGTRAP ? State::kStopped : State::kProcessStopped;
}

void StoppedThread::repair_broken_call(const machine::BeforeStop& before) {
  const std::optional<machine::Registers> registers = read_registers_and_repair_call(tid_, before, signal_);
  if (registers)
    registers_ = *registers;
  else
    state_ = State::kGone;
}

std::optional<machine::ThreadContext> StoppedThread::read() const {
  auto context = read_context(tid_, registers_);
  if (context) observe(CallStep::kRead);
  return context;
}

std::uint64_t StoppedThread::restartable_sequences() const {
  __ptrace_rseq_configuration configuration{};
  const long size = ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid_, ptrace_number(sizeof configuration), &configuration);
  return size == static_cast<long>(sizeof configuration) ? configuration.rseq_abi_pointer : 0;
}

std::optional<std::vector<SeccompFilter>> StoppedThread::seccomp_filters() const {
  std::vector<SeccompFilter> filters;
  while (true) {
    const long index = static_cast<long>(filters.size());
    const long size = ptrace(PTRACE_SECCOMP_GET_FILTER, tid_, ptrace_number(index), nullptr);
    if (size < 0 && errno == ENOENT) return filters;  // there are no more
    if (size < 0) return std::nullopt;
    SeccompFilter filter(static_cast<std::size_t>(size));
    if (ptrace(PTRACE_SECCOMP_GET_FILTER, tid_, ptrace_number(index), filter.data()) != size) return std::nullopt;
    filters.push_back(std::move(filter));
  }
}

// The order is what keeps the thread well if we are killed in between. What is written first lies where nobody looks.
// From the registers on the thread makes the call and comes back by itself; the mask that the call changes for it and
// the floating-point state are restored then too, whether they were set or not.
bool StoppedThread::begin(pid_t pid, const machine::CallImage& image) {
  const iovec local{const_cast<char*>(image.bytes.data()), image.bytes.size()};
  const iovec remote{ptrace_number(static_cast<long>(image.address)), image.bytes.size()};
  if (process_vm_writev(pid, &local, 1, &remote, 1, 0) != static_cast<ssize_t>(image.bytes.size())) return false;
  observe(CallStep::kMemoryWritten);
  if (!set_registers(tid_, image.registers)) return false;
  observe(CallStep::kRegistersSet);
  set_signal_mask(tid_, image.signal_mask);
  observe(CallStep::kSignalsBlocked);
  set_floating(tid_, image);
  observe(CallStep::kFloatingSet);
  return true;
}

std::int64_t StoppedThread::let_go() {
  if (!is_traced_) return stopped_ns_;
  is_traced_ = false;
  const bool has_stopped = state_ != State::kNeverStopped && state_ != State::kGone;
  ptrace(PTRACE_DETACH, tid_, nullptr, ptrace_number(signal_));
  const auto stopped = Clock::now() - last_seen_running_;
  if (has_stopped) stopped_ns_ = std::chrono::duration_cast<std::chrono::nanoseconds>(stopped).count();
  observe(CallStep::kLetGo);
  return stopped_ns_;
}

}  // namespace leakwatch
