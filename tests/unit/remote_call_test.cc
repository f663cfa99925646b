// SPDX-License-Identifier: Apache-2.0
//
// Calls in a program that verifies for ever that it notices nothing of them: thousands, of sleeping and of running
// threads, under signals and stops, in an allocation storm; and with a caller that is killed after each of its steps.
#include "cli/trace/remote_call.h"

#include <sys/syscall.h>

#include <cstdlib>
#include <memory>
#include <thread>

#include "cli/process/status_file.h"
#include "tests/unit/called_program.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using State = RemoteCallResult::State;

std::vector<RemoteArgument> arguments() {
  return {std::string(CALLED_TEXT), std::uint64_t{1}, ~std::uint64_t{1},
          std::uint64_t{3},         std::uint64_t{4}, std::uint64_t{5}};
}

RemoteCallResult call(RemoteCall& remote, std::chrono::seconds patience = std::chrono::seconds(60)) {
  const std::uint64_t function = remote.find_function(ModuleRole::kProgram, "called");
  REQUIRE(function != 0);
  return remote.call(function, arguments(), patience);
}

void check_unharmed(const CalledProgram& program, int calls_under_signals = 0) {
  CHECK(program.is_alive());
  CHECK(program.counters().wrong_arguments == 0);
  CHECK(program.counters().wrong_mask == calls_under_signals);
  CHECK(program.counters().on_small_stack == 0);
  CHECK(program.counters().interrupted == 0);
  CHECK(program.counters().damaged == 0);
}

// A signal wakes the sleeper, which then looks at itself.
void check_wakes_up(const CalledProgram& program) {
  CHECK(waits_for([&] { return program.is_asleep(); }));  // pause(2) misses what comes before it sleeps
  const int before = program.counters().checks;
  kill(program.pid(), SIGUSR1);
  CHECK(waits_for([&] { return program.counters().checks > before && program.is_asleep(); }));
}

void call_often(const CalledProgram& program, int times) {
  RemoteCall remote(program.pid());
  for (int index = 0; index < times; ++index) {
    const int before = program.counters().calls;
    const RemoteCallResult result = call(remote);
    INFO(result.reason);
    REQUIRE(result.state == State::kReturned);
    REQUIRE(program.counters().calls == before + 1);
  }
  check_unharmed(program);
}

TEST_CASE("a sleeping thread makes a call and sleeps on", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  for (const char* mode :
       {"read", "epoll", "epoll-limit", "epoll-mask", "poll", "poll-limit", "ppoll", "select", "sigwait",
        "sigwait-limit", "nanosleep", "clock_nanosleep", "pause", "futex", "futex-limit"}) {
    INFO(mode);
    const CalledProgram program(mode);
    call_often(program, 100);
    CHECK(program.counters().checks == 0);
    check_wakes_up(program);
    call_often(program, 1);
    check_unharmed(program);
  }
}

void break_sleep(const CalledProgram& program) {
  const ThreadFiles files(program.pid(), program.pid());
  kill(program.pid(), SIGSTOP);
  REQUIRE(waits_for([&] { return files.state() == 'T'; }));
  kill(program.pid(), SIGCONT);
  REQUIRE(waits_for([&] { return files.place().call == SYS_restart_syscall; }));
}

// A sleep that was broken goes on as restart_syscall, which cannot be made twice.
TEST_CASE("a sleep that the kernel has taken up before is begun anew", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  for (const char* mode : {"clock_nanosleep", "poll-limit", "sleep-by-code", "sleep-by-stack", "sleep-by-argument"}) {
    INFO(mode);
    const CalledProgram program(mode);
    break_sleep(program);
    call_often(program, 10);
    CHECK(program.counters().checks == 0);
    check_wakes_up(program);
  }
}

// Made by syscall(3), such a call does not show which one it was.
TEST_CASE("a sleep that cannot be begun anew is left alone", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("nanosleep");
  break_sleep(program);
  RemoteCall remote(program.pid());
  const RemoteCallResult result = call(remote, std::chrono::seconds(0));
  CHECK(result.state == State::kNoPlace);
  CHECK(result.reason.find("a system call that cannot be made again") != std::string::npos);
  CHECK(waits_for([&] { return program.is_asleep(); }));
  CHECK(program.counters().checks == 0);
  check_unharmed(program);
}

TEST_CASE("a running thread loses nothing", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("spin", 1, false);
  call_often(program, 2000);
  CHECK(program.counters().checks > 0);
}

TEST_CASE("registers that the kernel has room for on demand are kept", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const auto start = [] { return std::make_unique<CalledProgram>("tiles", 1, false); };
  std::unique_ptr<CalledProgram> program;
  try {
    program = start();
  } catch (const std::runtime_error&) {
    WARN("skipped: this machine has no AMX");
    return;
  }
  call_often(*program, 500);
  CHECK(program->counters().spins > 0);
}

TEST_CASE("signals and stops of the whole process do not meet a call", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("signals", 1, false);
  std::jthread stopper([&](const std::stop_token& is_over) {
    for (unsigned round = 0; !is_over.stop_requested(); ++round) {
      kill(program.pid(), SIGSTOP);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      kill(program.pid(), SIGCONT);
      std::this_thread::sleep_for(std::chrono::milliseconds(1 << round % 5));
    }
  });
  call_often(program, 200);
  stopper.request_stop();
  stopper.join();
  const int handled = program.counters().handled;
  CHECK(waits_for([&] { return program.counters().handled > handled; }));
  check_unharmed(program);
}

TEST_CASE("calls find their place in an allocation storm", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("storm", 9, false);
  call_often(program, 60);
  const int loads = program.counters().loads;
  CHECK(waits_for([&] { return program.counters().loads > loads; }));
}

TEST_CASE("threads that lose nothing by it are chosen", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("choice", 5);
  RemoteCall remote(program.pid());
  const RemoteCallResult first = call(remote);
  REQUIRE(first.state == State::kReturned);
  CHECK(first.attempts == 1);
  CHECK(first.stopped_ns > 0);
  // It is the one that sleeps in read(2).
  CHECK(waits_for([&] { return ThreadFiles(program.pid(), first.tid).place().call == 0; }));
  check_unharmed(program);
}

// It comes while the thread stands still.
TEST_CASE("a signal that only the call lets in ends it", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  for (const char* mode : {"epoll-mask", "ppoll"}) {
    INFO(mode);
    const CalledProgram program(mode);
    for (int round = 0; round < 20; ++round) {
      const int checks = program.counters().checks;
      const auto send = [&](CallStep step) {
        if (step == CallStep::kStopped) kill(program.pid(), SIGUSR2);
      };
      std::thread([&] { StoppedThread(program.pid(), std::chrono::seconds(60), send).let_go(); }).join();
      REQUIRE(waits_for([&] { return program.counters().checks > checks && program.is_asleep(); }));
      CHECK(program.counters().handled == round + 1);
    }
    check_unharmed(program);
  }
}

void check_no_place(const char* mode, const std::string& why) {
  const CalledProgram program(mode);
  RemoteCall remote(program.pid());
  const RemoteCallResult result = call(remote, std::chrono::seconds(0));
  INFO(mode << ": " << result.reason);
  CHECK(result.state == State::kNoPlace);
  CHECK(result.reason.find(why) != std::string::npos);
  CHECK(program.counters().calls == 0);
  check_unharmed(program);
}

TEST_CASE("handlers and stacks of the program's making are left alone", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  check_no_place("handler", "is in a signal handler");
  check_no_place("alternate", "is in a signal handler");
  check_no_place("coroutine", "is on a stack of the program's making");
}

TEST_CASE("a process that is gone or forbidden is told as such", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  auto program = std::make_unique<CalledProgram>("read");
  RemoteCall remote(program->pid());
  const std::uint64_t function = remote.find_function(ModuleRole::kProgram, "called");
  program.reset();
  CHECK(remote.call(function, arguments()).state == State::kGone);
}

TEST_CASE("a process that is traced already is refused and untouched", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("read");
  const pid_t tracer = fork();
  if (tracer == 0) {
    ptrace(PTRACE_SEIZE, program.pid(), nullptr, nullptr);
    while (true) pause();
  }
  REQUIRE(waits_for([&] { return StatusFile::of_process(program.pid()).number("TracerPid") != 0; }));
  RemoteCall remote(program.pid());
  const RemoteCallResult result = call(remote);
  CHECK(result.state == State::kRefused);
  CHECK(result.reason.find("traces it already") != std::string::npos);
  kill(tracer, SIGKILL);
  waitpid(tracer, nullptr, 0);
  check_unharmed(program);
}

TEST_CASE("a function that does not return is no harm", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  const CalledProgram program("read");
  RemoteCall remote(program.pid());
  const std::uint64_t function = remote.find_function(ModuleRole::kLibc, "pause");
  REQUIRE(function != 0);
  const RemoteCallResult result = remote.call(function, {}, std::chrono::seconds(1));
  CHECK(result.state == State::kBegun);
  CHECK_FALSE(remote.has_returned());
  CHECK(program.is_alive());
}

constexpr const char* kVictim = "LEAKWATCH_TEST_REMOTE_CALL";

// In a process of its own, which the test below starts: one call, and death after a step of it.
TEST_CASE("dies within a remote call", "[.]") {
  const char* words = std::getenv(kVictim);
  REQUIRE(words != nullptr);
  const fixture::Arguments parts = fixture::words(words);
  RemoteCall remote(std::stoi(parts.at(0)));
  remote.set_observer([&](CallStep step) {
    if (static_cast<int>(step) == std::stoi(parts.at(1))) kill(getpid(), SIGKILL);
  });
  call(remote);
}

int status_of_victim(pid_t target, int step) {
  const std::string words = std::to_string(target) + " " + std::to_string(step);
  const pid_t victim = fork();
  if (victim == 0) {
    setenv(kVictim, words.c_str(), 1);
    freopen("/dev/null", "w", stdout);
    execl("/proc/self/exe", "unit-tests", "dies within a remote call", nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(victim, &status, 0);
  return status;
}

void check_killed_callers(const char* mode, bool sleeps, bool is_broken_without_repair) {
  const CalledProgram program(mode, 1, sleeps);
  int calls_under_signals = 0;
  for (int step = 0; step <= static_cast<int>(CallStep::kLetGo); ++step) {
    INFO(mode << ' ' << step);
    // Between the stop and the repair an instant remains, see stopped_thread.h.
    if (is_broken_without_repair && step == static_cast<int>(CallStep::kInterrupted)) continue;
    const int before = program.counters().calls;
    const int spins = program.counters().spins;
    const int status = status_of_victim(program.pid(), step);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGKILL);
    const int made = step >= static_cast<int>(CallStep::kRegistersSet) ? 1 : 0;
    CHECK(waits_for([&] { return program.counters().calls == before + made; }));
    CHECK(waits_for([&] { return sleeps ? program.is_asleep() : program.counters().spins > spins + 10; }));
    CHECK(StatusFile::of_process(program.pid()).number("TracerPid") == 0);
    if (sleeps) check_wakes_up(program);
    if (step == static_cast<int>(CallStep::kRegistersSet)) ++calls_under_signals;
    check_unharmed(program, calls_under_signals);
    CHECK(program.counters().calls == before + made);
  }
}

TEST_CASE("a caller may be killed after each of its steps", "[remote]") {
  SKIP_WITHOUT_PTRACE();
  check_killed_callers("read", true, false);
  check_killed_callers("futex", true, false);
  check_killed_callers("nanosleep", true, false);
  check_killed_callers("epoll", true, true);
  check_killed_callers("spin", false, false);
}

}  // namespace
}  // namespace leakwatch
