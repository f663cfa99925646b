// SPDX-License-Identifier: Apache-2.0
//
// What a thread that is stopped and read must not notice, and what becomes of those that do not stop.
#include "cli/trace/thread_stop.h"

#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "cli/process/trace_permission.h"
#include "tests/unit/catch.h"
#include "tests/unit/thread_looks.h"
#include "tests/unit/thread_target.h"

namespace leakwatch {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = ThreadStopResult::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

Kind read_one(pid_t pid, const ProcessUnwinder& unwinder, pid_t tid) {
  return read_stopped(pid, unwinder, {{tid, seconds(1)}}, Clock::now() + seconds(1)).front().kind;
}

// Stops one thread over and over.
class Stopping {
 public:
  Stopping(pid_t pid, pid_t tid, std::chrono::microseconds pause = {})
      : pause_(pause), thread_([=, this] { run(pid, tid); }) {}
  ~Stopping() {
    is_over_ = true;
    thread_.join();
  }
  int stops() const { return stops_; }

 private:
  void run(pid_t pid, pid_t tid) {
    ProcessUnwinder unwinder(pid);
    unwinder.refresh();
    while (!is_over_) {
      stops_ += read_one(pid, unwinder, tid) == Kind::kRead ? 1 : 0;
      if (pause_.count() > 0) std::this_thread::sleep_for(pause_);
    }
  }

  std::chrono::microseconds pause_;
  std::atomic<bool> is_over_ = false;
  std::atomic<int> stops_ = 0;
  std::thread thread_;
};

TEST_CASE("a stop breaks no wait", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("framed", 3);
  for (const pid_t tid : list_threads(target.pid())) {
    const Stopping stopping(target.pid(), tid);
    for (int sent = 0; stopping.stops() < 500; ++sent) {
      syscall(SYS_tgkill, target.pid(), tid,
              SIGWINCH);  // ignored: a thread that is traced wakes up for it all the same
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      REQUIRE(sent < 100'000);
    }
  }
  CHECK(target.counters().broken == 0);
}

TEST_CASE("a signal with a handler still breaks a wait, and none is lost", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  constexpr int kSignals = 300;
  const ThreadTarget target("framed", 3);
  const pid_t tid = target.counters().tid;
  const Stopping stopping(target.pid(), tid, std::chrono::milliseconds(1));
  int sent = 0;
  while (sent < kSignals || stopping.stops() <= 10) {
    syscall(SYS_tgkill, target.pid(), tid, SIGUSR1);
    ++sent;
    REQUIRE(waits_for([&] { return target.counters().handled >= sent; }));
  }
  CHECK(target.counters().handled == sent);
  CHECK(target.counters().broken <= sent);
  // One that comes in the instant in which the thread is back in its code, about to wait again, finds no wait to break.
  CHECK(target.counters().broken > sent / 2);
}

TEST_CASE("waits of all kinds survive being stopped", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("asleep", 7);
  for (const pid_t tid : list_threads(target.pid())) {
    const Stopping stopping(target.pid(), tid);
    REQUIRE(waits_for([&] { return stopping.stops() > 200; }));
  }
  CHECK(target.counters().broken == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  check_sleeper(observation, "in_nanosleep", "sleep");  // by now the kernel calls it restart_syscall
  check_sleeper(observation, "in_futex", "futex wait");
}

// Holds all threads stopped, or stops the last one over and over.
[[noreturn]] void trace_until_killed(pid_t pid, bool holds_them) {
  const std::vector<pid_t> threads = list_threads(pid);
  if (!holds_them) {
    const Stopping stopping(pid, threads.back());
    while (true) pause();
  }
  for (const pid_t tid : threads) {
    if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) == 0) ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
  }
  while (true) pause();
}

TEST_CASE("a tracer that is killed leaves nothing stopped", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("loop", 2);
  const pid_t spinner = list_threads(target.pid()).back();
  for (int round = 0; round < 40; ++round) {
    const pid_t tracer = fork();
    if (tracer == 0) trace_until_killed(target.pid(), round % 2 == 0);
    std::this_thread::sleep_for(std::chrono::microseconds(3000 + round * 137));
    kill(tracer, SIGKILL);
    waitpid(tracer, nullptr, 0);
    const int spins = target.counters().spins;
    REQUIRE(waits_for([&] { return target.counters().spins != spins; }));
    REQUIRE(waits_for([&] { return kernel_state(target.pid(), target.pid()) == "S"; }));
    REQUIRE(read_trace_facts(target.pid(), spinner).tracer == 0);
  }
}

TEST_CASE("a thread that has ended is gone and no refusal, though the kernel refuses to trace it", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("leaderless", 2);
  REQUIRE(waits_for([&] { return kernel_state(target.pid(), target.pid()) == "Z"; }));
  CHECK(read_one(target.pid(), ProcessUnwinder(target.pid()), target.pid()) == Kind::kGone);
}

bool is_let_go(pid_t pid, pid_t tid) {
  return waits_for([&] { return read_trace_facts(pid, tid).tracer == 0 && kernel_state(pid, tid) != "t"; });
}

bool are_read(const ThreadObservation& observation) {
  return std::all_of(observation.threads.begin(), observation.threads.end(),
                     [](const ObservedThread& thread) { return thread.stack_note.empty() && !thread.stack.empty(); });
}

TEST_CASE("a crowd that computes on too few processors is read whole", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const int crowd = std::min(32 * static_cast<int>(std::thread::hardware_concurrency()), 256);
  const ThreadTarget target("crowd", crowd + 1, crowd);
  ThreadInspector inspector(target.pid());
  // On a busy machine a processor may be longer in coming than a look has patience.
  ThreadObservation observation = inspector.look();
  for (int look = 1; look < 5 && !are_read(observation); ++look) observation = inspector.look();
  CHECK(are_read(observation));
  REQUIRE(observation.threads.size() == static_cast<std::size_t>(crowd) + 1);
  for (const ObservedThread& thread : observation.threads) CHECK(is_let_go(target.pid(), thread.tid));
  kill(target.pid(), SIGKILL);
  for (const ObservedThread& thread : observation.threads) {
    CHECK(thread.was_stopped == (thread.tid != target.pid()));
    CHECK(contains(names_of(thread, observation), thread.was_stopped ? "in_loop" : "main_waits"));
  }
}

TEST_CASE("one that does not stop keeps nobody waiting, and is let go", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("vfork", 2);
  const pid_t parent = list_threads(target.pid()).back();  // waits uninterruptibly for its child
  REQUIRE(waits_for([&] { return kernel_state(target.pid(), parent) == "D"; }));
  const ProcessUnwinder unwinder(target.pid());
  const std::vector<ThreadStopRequest> requests{{parent, milliseconds(10)}, {target.pid(), seconds(60)}};
  const auto began = Clock::now();
  const std::vector<ThreadStopResult> results = read_stopped(target.pid(), unwinder, requests, began + seconds(120));
  CHECK(Clock::now() - began < seconds(60));
  CHECK(results[0].kind == Kind::kNeverStopped);
  CHECK(results[0].stopped_ns == 0);
  CHECK(results[1].kind == Kind::kRead);
  CHECK(results[1].stopped_ns > 0);
  CHECK_FALSE(results[1].stack.empty());
  CHECK(is_let_go(target.pid(), parent));
}

TEST_CASE("nobody is asked when the time is over", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("loop", 2);
  const std::vector<ThreadStopRequest> requests{{list_threads(target.pid()).back(), seconds(1)}};
  CHECK(read_stopped(target.pid(), ProcessUnwinder(target.pid()), requests, Clock::now())[0].kind == Kind::kNotAsked);
  CHECK(read_stopped(target.pid(), ProcessUnwinder(target.pid()), {}, Clock::now()).empty());
}

}  // namespace
}  // namespace leakwatch
