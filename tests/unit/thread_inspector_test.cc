// SPDX-License-Identifier: Apache-2.0
//
// The inspector against a real program with threads in every kind of place. What the program must not notice is counted
// by the program itself.
#include "cli/session/thread_inspector.h"

#include <sys/syscall.h>

#include <algorithm>
#include <iostream>

#include "cli/process/process.h"
#include "cli/process/stat_file.h"
#include "tests/unit/catch.h"
#include "tests/unit/thread_looks.h"
#include "tests/unit/thread_target.h"

namespace leakwatch {
namespace {

TEST_CASE("sleeping threads are read where they are and never stopped", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("asleep", 7);
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  CHECK(observation.refusal.empty());
  CHECK(observation.threads.size() == 7);
  CHECK(observation.modules[0].path == target.path());
  check_sleeper(observation, "in_futex", "futex wait");
  check_sleeper(observation, "in_epoll", "epoll wait");
  check_sleeper(observation, "in_sigtimedwait", "signal wait");
  check_sleeper(observation, "in_nanosleep", "sleep");
  check_sleeper(observation, "in_read", "read");
  check_sleeper(observation, "in_raw_clone", "signal wait");
  check_sleeper(observation, "main_waits", "signal wait");
  CHECK(thread_in(observation, "in_read").waits_on == "pipe");
  CHECK(thread_in(observation, "main_waits").tid == target.pid());
  CHECK(contains(names_of(thread_in(observation, "main_waits"), observation), "main"));
  CHECK(target.counters().broken == 0);
}

TEST_CASE("the age of a wait is how long it was seen", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("asleep", 7);
  ThreadInspector inspector(target.pid());
  CHECK(inspector.look().threads[1].waiting_ns == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  const ThreadObservation second = inspector.look();
  for (const ObservedThread& thread : second.threads) {
    INFO(thread.tid << ' ' << thread.state);
    CHECK(thread.waiting_ns >= 60'000'000);
    CHECK(thread.waiting_ns < 60'000'000'000);
    CHECK_FALSE(thread.was_stopped);
  }
}

TEST_CASE("a wait that a stop broke is as old as before, and one that ended is not", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  for (int round = 0; round < 10; ++round) {
    const ThreadTarget target("framed", 3);
    const pid_t tid = target.counters().tid;
    ThreadInspector inspector(target.pid());
    CHECK(thread_with(inspector.look(), tid).was_stopped);
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    REQUIRE(waits_for([&] { return are_asleep(target.pid()); }));
    const ObservedThread thread = thread_with(inspector.look(), tid);
    CHECK(thread.state == "epoll wait");
    CHECK_FALSE(thread.was_stopped);
    CHECK(thread.waiting_ns >= 60'000'000);
  }
  const ThreadTarget target("framed", 3);
  const pid_t tid = target.counters().tid;
  const ThreadFiles files(target.pid(), tid);
  const std::uint64_t sleeps = files.sleeps().value();
  ThreadInspector inspector(target.pid());
  CHECK(thread_with(inspector.look(), tid).was_stopped);
  REQUIRE(waits_for([&] { return files.sleeps() == sleeps + 2; }));  // in the stop, and in its wait again
  syscall(SYS_tgkill, target.pid(), tid, SIGUSR1);                   // whose handler ends the wait
  REQUIRE(waits_for([&] { return target.counters().broken == 1; }));
  REQUIRE(waits_for([&] { return are_asleep(target.pid()); }));
  CHECK(thread_with(inspector.look(), tid).waiting_ns == 0);
}

TEST_CASE("a running thread is stopped and goes on", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("loop", 2);
  ThreadInspector inspector(target.pid());
  std::vector<std::int64_t> stops;
  for (int round = 0; round < 50; ++round) {
    const ThreadObservation observation = inspector.look();
    const ObservedThread& thread = thread_in(observation, "in_loop");
    CHECK(thread.state == "running");
    CHECK(thread.was_stopped);
    CHECK(thread.stack_note.empty());
    stops.push_back(thread.stopped_ns);
    const int spins = target.counters().spins;
    CHECK(waits_for([&] { return target.counters().spins != spins; }));
  }
  std::sort(stops.begin(), stops.end());
  std::cout << "stopped while running, ns: median " << stops[25] << ", most " << stops.back() << '\n';
}

TEST_CASE("frames that only a register leads out of are found by one stop", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("framed", 3);
  ThreadInspector inspector(target.pid());
  for (int round = 0; round < 5; ++round) {
    const ThreadObservation observation = inspector.look();
    for (const char* function : {"in_framed_epoll", "in_framed_sigtimedwait"}) {
      INFO(function << " in round " << round);
      const ObservedThread& thread = thread_in(observation, function);
      CHECK(thread.stack_note.empty());
      CHECK(contains(names_of(thread, observation), "run_framed"));
      CHECK(thread.was_stopped == (round == 0));
      CHECK(thread.state == (std::string(function) == "in_framed_epoll" ? "epoll wait" : "signal wait"));
    }
    REQUIRE(waits_for([&] { return are_asleep(target.pid()); }));
  }
  CHECK(target.counters().broken == 0);
}

TEST_CASE("a stopped process is read and stays stopped", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("framed", 3);
  kill(target.pid(), SIGSTOP);
  REQUIRE(waits_for([&] { return kernel_state(target.pid(), target.counters().tid) == "T"; }));
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  CHECK(observation.threads.size() == 3);
  CHECK(thread_in(observation, "in_framed_epoll").stack_note.empty());
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  for (const pid_t tid : list_threads(target.pid())) CHECK(kernel_state(target.pid(), tid) == "T");
  kill(target.pid(), SIGCONT);
  CHECK(waits_for([&] { return kernel_state(target.pid(), target.counters().tid) == "S"; }));
}

TEST_CASE("a parent in vfork is read without being stopped", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("vfork", 2);
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  const ObservedThread& thread = thread_in(observation, "in_vfork");
  CHECK(thread.state == "vfork wait");
  CHECK(thread.stack_note.empty());
  CHECK_FALSE(thread.was_stopped);
}

TEST_CASE("a thread in a signal handler shows what it interrupted", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("handler", 2);
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  const ObservedThread& thread = thread_in(observation, "waits_in_handler");
  CHECK(contains(names_of(thread, observation), "in_handler"));
  CHECK(thread.stack_note.empty());
}

TEST_CASE("a stack of more than the first copy is read whole", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("deep", 2);
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  const Names names = names_of(thread_in(observation, "deep"), observation);
  CHECK(std::count(names.begin(), names.end(), "deep") == 151);
}

TEST_CASE("a main thread that has ended is shown as that", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("leaderless", 2);
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  CHECK(thread_with(observation, target.pid()).state == "exited");
  CHECK(thread_with(observation, target.pid()).stack.empty());
  CHECK(observation.refusal.empty());
  check_sleeper(observation, "in_futex", "futex wait");  // the others are read all the same
  CHECK(resident_bytes(target.pid()) > 0);
  CHECK_FALSE(is_ending(target.pid()));
  CHECK_FALSE(memory_layout(target.pid()).empty());
}

TEST_CASE("a thousand threads all have their stacks", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("many", 1001, 1000);
  ThreadInspector inspector(target.pid());
  for (int round = 0; round < 3; ++round) {
    const ThreadObservation observation = inspector.look();
    CHECK(observation.threads.size() == 1001);
    const auto is_whole = [](const ObservedThread& thread) { return thread.stack_note.empty() && !thread.was_stopped; };
    CHECK(std::all_of(observation.threads.begin(), observation.threads.end(), is_whole));
    std::cout << "1,001 sleeping threads read in " << observation.duration_ns / 1000 << " us\n";
  }
}

TEST_CASE("threads that come and go do no harm", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("churn", 1);
  ThreadInspector inspector(target.pid());
  for (int round = 0; round < 300; ++round) {
    const ThreadObservation observation = inspector.look();
    CHECK(thread_with(observation, target.pid()).state != "exited");
    CHECK(observation.refusal.empty());  // a thread that is about to be gone refuses a tracer in its last moments
  }
  const int made = target.counters().made;
  CHECK(waits_for([&] { return target.counters().made > made; }));
}

TEST_CASE("a process that is gone has no threads", "[threads]") {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  ThreadInspector inspector(child);
  CHECK(inspector.look().threads.empty());
}

TEST_CASE("a thread that is traced already is still read while it sleeps", "[threads]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("framed", 3);
  const pid_t tid = target.counters().tid;
  REQUIRE(ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) == 0);
  ThreadInspector inspector(target.pid());
  const ThreadObservation observation = inspector.look();
  const ObservedThread& thread = thread_with(observation, tid);
  CHECK(thread.state == "epoll wait");
  CHECK(names_of(thread, observation) == Names{"in_framed_epoll"});
  CHECK(thread.stack_note == "looking into the process is not permitted");
  CHECK(observation.refusal.find("process " + std::to_string(getpid()) + " traces it already") != std::string::npos);
  kill(target.pid(), SIGKILL);
  waitpid(tid, nullptr, __WALL);  // its tracer has to see it go before the process can
}

}  // namespace
}  // namespace leakwatch
