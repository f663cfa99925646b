// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/trace/thread_stop.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "cli/base/urgency.h"
#include "cli/process/thread_files.h"
#include "cli/trace/machine.h"
#include "cli/trace/tracee.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

using Clock = std::chrono::steady_clock;
using Kind = ThreadStopResult::Kind;

constexpr std::size_t kMostStack = std::size_t{256} << 10U;
// A thread on another processor stops within microseconds. One that waits for ours needs us to give it up.
constexpr auto kSpinning = std::chrono::microseconds(50);
constexpr auto kPause = std::chrono::microseconds(20);

// How many are asked at a time, and how long nothing happens until it is one more.
constexpr std::size_t kFewAsked = 4;
constexpr std::size_t kMostAsked = 24;
constexpr auto kUneventful = std::chrono::microseconds(500);

class Tracer {
 public:
  Tracer(pid_t pid, const ProcessUnwinder& unwinder, const std::vector<ThreadStopRequest>& requests,
         Clock::time_point until)
      : pid_(pid), unwinder_(unwinder), requests_(requests), until_(until), results_(requests.size()) {}

  std::vector<ThreadStopResult> run();

 private:
  // Traced, and told to stop.
  struct Asked {
    std::size_t index = 0;
    machine::BeforeStop before;
    Clock::time_point until;
    Clock::time_point last_seen_running;
    bool is_given_up = false;  // but it may still stop, and then goes on at once
  };

  bool read_those_that_stopped();
  void give_up_slow_ones(Clock::time_point now);
  bool has_room(Clock::time_point now);
  void ask_next();
  void read(const Asked& asked, int signal);
  std::size_t copy_stack(pid_t tid, std::uint64_t stack_pointer, std::uint64_t& from);

  const pid_t pid_;
  const ProcessUnwinder& unwinder_;
  const std::vector<ThreadStopRequest>& requests_;
  const Clock::time_point until_;
  const std::unique_ptr<char[]> buffer_{new char[kMostStack + machine::kRedZone]};
  std::vector<ThreadStopResult> results_;
  std::vector<Asked> asked_;  // the oldest first
  std::size_t next_ = 0;      // to be asked
  std::size_t asked_at_once_ = kFewAsked;
  Clock::time_point last_event_ = Clock::now();
  Clock::time_point last_rise_;
};

std::vector<ThreadStopResult> Tracer::run() {
  const Urgency urgency;
  prctl(PR_SET_TIMERSLACK, 1UL);  // or a pause is four times as long, where the urgency is not granted
  while (true) {
    if (read_those_that_stopped()) continue;  // there may be more, and they come first
    const auto now = Clock::now();
    give_up_slow_ones(now);
    if (next_ < requests_.size() && now < until_ && has_room(now)) {
      ask_next();
      continue;
    }
    const bool is_over =
        std::all_of(asked_.begin(), asked_.end(), [](const Asked& asked) { return asked.is_given_up; });
    if (is_over) return std::move(results_);
    if (now - last_event_ > kSpinning) std::this_thread::sleep_for(kPause);
  }
}

// Or that are gone.
bool Tracer::read_those_that_stopped() {
  const std::size_t before = asked_.size();
  const auto began = Clock::now();
  if (!has_news_of_tracees()) {
    for (Asked& asked : asked_) asked.last_seen_running = began;
    return false;
  }
  for (auto asked = asked_.begin(); asked != asked_.end();) {
    const auto now = Clock::now();
    const TraceeLook look = look_at_tracee(requests_[asked->index].tid);
    if (look.state == TraceeLook::State::kRuns) {
      asked->last_seen_running = now;
      ++asked;
      continue;
    }
    if (look.state == TraceeLook::State::kStopped) read(*asked, look.is_delivery ? look.signal : 0);
    if (look.state == TraceeLook::State::kGone) results_[asked->index].kind = Kind::kGone;
    asked = asked_.erase(asked);
  }
  if (asked_.size() == before) return false;
  last_event_ = Clock::now();
  return true;
}

void Tracer::give_up_slow_ones(Clock::time_point now) {
  for (Asked& asked : asked_) {
    if (asked.is_given_up || now <= asked.until) continue;
    asked.is_given_up = true;
    results_[asked.index].kind = Kind::kNeverStopped;
  }
}

bool Tracer::has_room(Clock::time_point now) {
  const auto is_awaited = [](const Asked& asked) { return !asked.is_given_up; };
  const auto awaited = static_cast<std::size_t>(std::count_if(asked_.begin(), asked_.end(), is_awaited));
  if (awaited < asked_at_once_) return true;
  if (awaited >= kMostAsked || now - std::max(last_event_, last_rise_) < kUneventful) return false;
  last_rise_ = now;
  asked_at_once_ = awaited + 1;
  return true;
}

void Tracer::ask_next() {
  const std::size_t index = next_++;
  const auto [tid, patience] = requests_[index];
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) {
    // EPERM is also what the kernel says of a thread that has ended and is not yet out of its list.
    const bool is_gone = errno == ESRCH || ThreadFiles(pid_, tid).has_ended();
    results_[index].kind = is_gone ? Kind::kGone : Kind::kRefused;
    return;
  }
  const machine::BeforeStop before = look_before_stop(tid);
  const auto now = Clock::now();
  if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) {
    results_[index].kind = Kind::kGone;
    return;
  }
  asked_.push_back(
      {.index = index, .before = before, .until = std::min(now + patience, until_), .last_seen_running = now});
}

// `signal`: to be delivered.
void Tracer::read(const Asked& asked, int signal) {
  const pid_t tid = requests_[asked.index].tid;
  ThreadStopResult& result = results_[asked.index];
  const std::optional<machine::Registers> registers = read_registers_and_repair_call(tid, asked.before, signal);
  if (registers) result.registers = machine_registers(*registers);
  std::uint64_t from = 0;
  const std::size_t copied = registers ? copy_stack(tid, machine::stack_pointer_of(*registers), from) : 0;
  ptrace(PTRACE_DETACH, tid, nullptr, ptrace_number(signal));
  const auto stopped = Clock::now() - asked.last_seen_running;
  result.stopped_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(stopped).count();
  result.kind = registers ? Kind::kRead : Kind::kGone;
  result.stack.add(from, {buffer_.get(), buffer_.get() + copied});
}

// How many bytes, and where they begin.
std::size_t Tracer::copy_stack(pid_t tid, std::uint64_t stack_pointer, std::uint64_t& from) {
  const std::uint64_t limit = unwinder_.mapping_limit(stack_pointer);
  const std::uint64_t above = limit > stack_pointer ? limit - stack_pointer : kMostStack;
  for (const std::uint64_t below : {machine::kRedZone, std::uint64_t{0}}) {  // there may be nothing mapped below
    from = stack_pointer - below;
    const std::size_t copied =
        read_process_memory(tid, from, buffer_.get(), std::min<std::uint64_t>(above, kMostStack) + below);
    if (copied != 0) return copied;
  }
  return 0;
}

}  // namespace

std::vector<ThreadStopResult> read_stopped(pid_t pid, const ProcessUnwinder& unwinder,
                                           const std::vector<ThreadStopRequest>& requests,
                                           std::chrono::steady_clock::time_point until) {
  if (requests.empty()) return {};
  return std::async(std::launch::async, [&] { return Tracer(pid, unwinder, requests, until).run(); }).get();
}

}  // namespace leakwatch
