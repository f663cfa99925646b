// SPDX-License-Identifier: Apache-2.0
//
// On 64-bit ARM, or an emulator of the whole machine: threads of the program `called` are stopped, read and made to
// call, while they sleep in every kind of system call and while they compute, with a tracer that is killed after each
// of its steps as well. The program verifies for ever that it notices nothing. Says what went wrong; the status is 1
// then.
//
// As the first process of a machine it prepares that and switches it off in the end.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cli/process/status_file.h"
#include "cli/process/thread_files.h"
#include "cli/trace/remote_call.h"
#include "cli/trace/stopped_thread.h"
#include "cli/trace/thread_stop.h"
#include "tests/targets/called.h"

namespace {

using leakwatch::CallStep;
using leakwatch::RemoteCall;
using leakwatch::RemoteCallResult;
using leakwatch::ThreadFiles;
using leakwatch::ThreadPlace;
using Clock = std::chrono::steady_clock;
using State = RemoteCallResult::State;

constexpr auto kHang = std::chrono::seconds(300);  // the emulator is slow, and may share its processor
constexpr const char* kProgram = "/called";

int failures = 0;
std::string place;  // in the tests

void check(bool is_good, const std::string& what) {
  if (is_good) return;
  ++failures;
  std::printf("FAILED: %s: %s\n", place.c_str(), what.c_str());
}

template <typename Predicate>
bool waits_for(Predicate predicate) {
  for (const auto began = Clock::now(); Clock::now() - began < kHang;) {
    if (predicate()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

class CalledProgram {
 public:
  explicit CalledProgram(const std::string& mode, int threads_ready = 1, bool sleeps = true) {
    place = mode;
    const int fd = open(kCounters, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kPage) != 0) throw std::runtime_error("no counters");
    void* memory = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) throw std::runtime_error("no counters");
    counters_ = static_cast<called_counters*>(memory);
    std::fflush(stdout);
    pid_ = fork();
    if (pid_ == 0) {
      execl(kProgram, kProgram, kCounters, mode.c_str(), nullptr);
      _exit(127);
    }
    check(waits_for([&] { return counters().ready >= threads_ready && (!sleeps || is_asleep()); }), "did not begin");
  }
  ~CalledProgram() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    munmap(counters_, kPage);
  }
  CalledProgram(const CalledProgram&) = delete;
  CalledProgram& operator=(const CalledProgram&) = delete;

  pid_t pid() const { return pid_; }
  called_counters& counters() const { return *counters_; }
  bool is_asleep() const {
    const ThreadFiles files(pid_, pid_);
    return files.place().kind == ThreadPlace::Kind::kInCall && files.state() == 'S';
  }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr const char* kCounters = "/counters";

  called_counters* counters_ = nullptr;
  pid_t pid_ = -1;
};

RemoteCallResult call(RemoteCall& remote, Clock::duration patience = kHang) {
  const std::uint64_t function = remote.find_function(leakwatch::ModuleRole::kProgram, "called");
  check(function != 0, "no function");
  const std::vector<leakwatch::RemoteArgument> arguments{std::string(CALLED_TEXT), std::uint64_t{1}, ~std::uint64_t{1},
                                                         std::uint64_t{3},         std::uint64_t{4}, std::uint64_t{5}};
  return remote.call(function, arguments, patience);
}

void check_unharmed(const CalledProgram& program, int calls_under_signals = 0) {
  const called_counters& counters = program.counters();
  check(waitpid(program.pid(), nullptr, WNOHANG) == 0, "it has ended");
  check(counters.wrong_arguments == 0, "wrong arguments");
  check(counters.wrong_mask == calls_under_signals, "the mask of a call");
  check(counters.on_small_stack == 0, "a small stack");
  check(counters.interrupted == 0, "a system call ended without cause");
  check(counters.damaged == 0, "damaged");
  const auto status = leakwatch::StatusFile::of_process(program.pid());
  check(status.number("TracerPid") == 0, "still traced");
}

// A signal wakes the sleeper, which then looks at itself.
void check_wakes_up(const CalledProgram& program, int signal = SIGUSR1) {
  check(waits_for([&] { return program.is_asleep(); }), "does not sleep again");  // pause(2) misses what comes before
  const int before = program.counters().checks;
  kill(program.pid(), signal);
  check(waits_for([&] { return program.counters().checks > before && program.is_asleep(); }), "does not wake up");
}

void call_often(const CalledProgram& program, int times) {
  RemoteCall remote(program.pid());
  for (int index = 0; index < times; ++index) {
    const int before = program.counters().calls;
    const RemoteCallResult result = call(remote);
    check(result.state == State::kReturned, "no call: " + result.reason);
    check(program.counters().calls == before + 1, "calls made");
    if (result.state != State::kReturned) return;
  }
  check_unharmed(program);
}

constexpr const char* kSleeps[] = {"read",       "epoll",           "epoll-limit", "epoll-mask", "poll",
                                   "poll-limit", "ppoll",           "select",      "sigwait",    "sigwait-limit",
                                   "nanosleep",  "clock_nanosleep", "pause",       "futex",      "futex-limit"};

void sleepers_make_calls() {
  for (const char* mode : kSleeps) {
    const CalledProgram program(mode);
    call_often(program, 20);
    check(program.counters().checks == 0, "woke up");
    check_wakes_up(program);
    call_often(program, 1);
  }
}

// Reads it as for a profile. Of stacks that are not walked to their end there may be so many.
void read_often(const CalledProgram& program, int times, int most_cut = 0) {
  leakwatch::ProcessUnwinder unwinder(program.pid());
  unwinder.refresh();
  for (int index = 0; index < times; ++index) {
    const auto results =
        leakwatch::read_stopped(program.pid(), unwinder, {{program.pid(), kHang}}, Clock::now() + kHang);
    check(results[0].kind == leakwatch::ThreadStopResult::Kind::kRead, "not read");
    const auto stack = unwinder.unwind(results[0].registers, results[0].stack, 64);
    if (stack.end == leakwatch::UnwindEnd::kOutermost) continue;
    check(--most_cut >= 0, "not walked: " + std::to_string(static_cast<int>(stack.end)) + " after " +
                               std::to_string(stack.frames.size()));
  }
  check_unharmed(program);
}

void stops_break_nothing() {
  for (const char* mode : kSleeps) {
    const CalledProgram program(mode);
    read_often(program, 50);
    check(program.counters().checks == 0, "woke up");
    check(waits_for([&] { return program.is_asleep(); }), "does not sleep on");
    check_wakes_up(program);
    check_unharmed(program);
  }
  const CalledProgram program("spin", 1, false);
  read_often(program, 200, 10);  // in a stub of the PLT, which has no unwind information on this machine
}

// It comes while the thread stands still, and is of those that only the call lets in.
void signals_end_calls_that_wait_for_them() {
  for (const char* mode : {"epoll-mask", "ppoll"}) {
    const CalledProgram program(mode);
    for (int index = 0; index < 20; ++index) {
      const int checks = program.counters().checks, handled = program.counters().handled;
      const auto interrupt = [&](CallStep step) {
        if (step == CallStep::kStopped) kill(program.pid(), SIGUSR2);
      };
      std::thread([&] { leakwatch::StoppedThread(program.pid(), kHang, interrupt).let_go(); }).join();
      const bool has_ended = waits_for([&] { return program.counters().checks > checks && program.is_asleep(); });
      check(has_ended, "a signal did not end the call");
      check(program.counters().handled == handled + 1, "handled");
    }
    check_unharmed(program);
  }
}

// And signals of any kind, at any time.
void signals_are_not_lost() {
  for (const char* mode : {"epoll", "sigwait", "epoll-mask"}) {
    const CalledProgram program(mode);
    std::atomic<bool> is_over = false;
    std::thread stopping([&] {
      while (!is_over) read_often(program, 1, 1);  // it may be found on its way into the handler
    });
    int broken = 0;
    constexpr int kSignals = 100;
    for (int sent = 1; sent <= kSignals; ++sent) {
      const int checks = program.counters().checks;
      kill(program.pid(), SIGUSR1);
      check(waits_for([&] { return program.counters().handled == sent; }), "a signal was lost");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      broken += program.counters().checks > checks ? 1 : 0;
    }
    is_over = true;
    stopping.join();
    // One that comes when the stop has ended the call already finds no call to break.
    check(broken > kSignals / 4, "calls ended: " + std::to_string(broken));
    check_unharmed(program);
  }
}

void break_sleep(const CalledProgram& program) {
  const ThreadFiles files(program.pid(), program.pid());
  kill(program.pid(), SIGSTOP);
  check(waits_for([&] { return files.state() == 'T'; }), "not stopped");
  kill(program.pid(), SIGCONT);
  check(waits_for([&] { return files.place().call == SYS_restart_syscall; }), "not taken up");
}

void calls_taken_up_are_begun_anew() {
  const CalledProgram known("sleep-by-code");
  break_sleep(known);
  call_often(known, 5);
  check(known.counters().checks == 0, "woke up");
  check_wakes_up(known);
}

void calls_taken_up_are_left_alone() {
  const CalledProgram unknown("nanosleep");  // by syscall(3), whose code does not show the number
  break_sleep(unknown);
  RemoteCall remote(unknown.pid());
  const RemoteCallResult result = call(remote, Clock::duration::zero());
  check(result.state == State::kNoPlace, "a call");
  check(result.reason.find("cannot be made again") != std::string::npos, result.reason);
  check_unharmed(unknown);
}

void running_threads_lose_nothing() {
  {
    const CalledProgram program("spin", 1, false);
    call_often(program, 300);
    check(program.counters().checks > 0, "did not run");
  }
  {
    const CalledProgram program("signals", 1, false);
    call_often(program, 50);
  }
  {
    const CalledProgram program("tiles", 1, false);  // SVE's registers, which this machine is to have
    call_often(program, 100);
    check(program.counters().spins > 0, "did not run");
  }
  const CalledProgram program("storm", 9, false);
  call_often(program, 5);
}

void bad_places_are_left_alone() {
  const std::pair<const char*, const char*> cases[] = {{"handler", "is in a signal handler"},
                                                       {"alternate", "is in a signal handler"},
                                                       {"coroutine", "is on a stack of the program's making"}};
  for (const auto& [mode, why] : cases) {
    const CalledProgram program(mode);
    RemoteCall remote(program.pid());
    const RemoteCallResult result = call(remote, Clock::duration::zero());
    check(result.state == State::kNoPlace && program.counters().calls == 0, "a call");
    check(result.reason.find(why) != std::string::npos, result.reason);
    check_unharmed(program);
  }
}

// One call by a process that is killed after that step.
void call_and_die(pid_t pid, int last_step) {
  std::fflush(stdout);
  const pid_t victim = fork();
  if (victim == 0) {
    RemoteCall remote(pid);
    remote.set_observer([&](CallStep step) {
      if (static_cast<int>(step) == last_step) kill(getpid(), SIGKILL);
    });
    call(remote);
    _exit(1);
  }
  int status = 0;
  waitpid(victim, &status, 0);
  check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the caller was not killed");
}

void callers_may_be_killed() {
  const std::pair<const char*, bool> cases[] = {{"read", false}, {"futex", false},  {"nanosleep", false},
                                                {"epoll", true}, {"sigwait", true}, {"spin", false}};
  for (const auto& [mode, is_repaired] : cases) {
    const bool sleeps = std::string(mode) != "spin";
    const CalledProgram program(mode, 1, sleeps);
    int calls_under_signals = 0;
    for (int step = 0; step <= static_cast<int>(CallStep::kLetGo); ++step) {
      place = std::string(mode) + " killed after step " + std::to_string(step);
      if (is_repaired && step == static_cast<int>(CallStep::kInterrupted)) continue;  // see stopped_thread.h
      const int before = program.counters().calls, spins = program.counters().spins;
      call_and_die(program.pid(), step);
      const int made = step >= static_cast<int>(CallStep::kRegistersSet) ? 1 : 0;
      check(waits_for([&] { return program.counters().calls == before + made; }), "calls made");
      check(waits_for([&] { return sleeps ? program.is_asleep() : program.counters().spins > spins + 2; }), "hangs");
      if (sleeps) check_wakes_up(program);
      if (step == static_cast<int>(CallStep::kRegistersSet)) ++calls_under_signals;
      check_unharmed(program, calls_under_signals);
    }
  }
}

// All of which the name has that text.
int run_tests(const std::string& chosen) {
  const std::pair<const char*, void (*)()> tests[] = {
      {"sleepers make calls", sleepers_make_calls},
      {"stops break nothing", stops_break_nothing},
      {"signals end calls that wait for them", signals_end_calls_that_wait_for_them},
      {"signals are not lost", signals_are_not_lost},
      {"calls taken up are begun anew", calls_taken_up_are_begun_anew},
      {"calls taken up are left alone", calls_taken_up_are_left_alone},
      {"running threads lose nothing", running_threads_lose_nothing},
      {"bad places are left alone", bad_places_are_left_alone},
      {"callers may be killed", callers_may_be_killed},
  };
  for (const auto& [name, test] : tests) {
    if (std::string_view(name).find(chosen) == std::string_view::npos) continue;
    const auto began = Clock::now();
    const int before = failures;
    test();
    const auto seconds = std::chrono::duration<double>(Clock::now() - began).count();
    std::printf("%s: %s (%.1f s)\n", failures == before ? "ok" : "NOT OK", name, seconds);
    std::fflush(stdout);
  }
  return failures == 0 ? 0 : 1;
}

// As the kernel's first process: what the tests need of a system, and the end of it.
[[noreturn]] void be_first_process(const std::string& chosen) {
  mkdir("/proc", 0755);
  mount("proc", "/proc", "proc", 0, nullptr);
  const pid_t child = fork();
  if (child == 0) _exit(run_tests(chosen));
  int status = -1;
  while (waitpid(-1, &status, 0) != child) continue;
  std::printf("THE TESTS %s\n", status == 0 ? "PASSED" : "FAILED");
  std::fflush(stdout);
  reboot(RB_POWER_OFF);
  std::abort();
}

}  // namespace

// The kernel hands over those words of its command line that it does not know.
int main(int argc, char** argv) {
  const std::string chosen = argc > 1 ? argv[1] : "";
  if (getpid() == 1) be_first_process(chosen);
  return run_tests(chosen);
}
