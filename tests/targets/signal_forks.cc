// SPDX-License-Identifier: Apache-2.0
//
// signal_forks HOW [OBJECT]: a timer's handler makes two hundred children while the program allocates and frees, so
// that most of them begin inside of an interrupted hook. Each returns from the handler, goes on for a while, and must
// end well and soon. HOW is "alone", or "threads": then the handler runs beside a thread that allocates too. With an
// OBJECT the program attaches itself. Linked with slots_allocator, which a handler may interrupt.

#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string_view>
#include <thread>

#include "tests/targets/attach_self.h"

namespace {

constexpr int kChildren = 200, kMostAtOnce = 4, kChildRounds = 200;
constexpr unsigned kChildSeconds = 10;

std::atomic<bool> is_child;
std::atomic<int> children, living;
std::atomic<long> rounds;
std::atomic<bool> stop;

void make_child(int) {
  if (is_child || living >= kMostAtOnce || children >= kChildren) return;
  const pid_t child = fork();
  require(child >= 0, "fork");
  if (child != 0) {
    ++children, ++living;
    return;
  }
  is_child = true;
  std::signal(SIGALRM, SIG_DFL);
  alarm(kChildSeconds);
}

}  // namespace

SITE void* steady_block() {
  return malloc(100);
}
SITE void* grown_block(void* block) {
  return realloc(block, 200);
}

namespace {

void work() {
  static std::atomic<int> rounds_as_child;
  free(grown_block(steady_block()));
  ++rounds;
  if (is_child && ++rounds_as_child == kChildRounds) _exit(0);
}

void look_after_children(int flags) {
  int status = 0;
  while (living != 0 && waitpid(-1, &status, flags) > 0) {
    if (status != 0) say("a child ended with status %#x", status);
    require(status == 0, "a child");
    --living;
  }
}

void set_timer(int microseconds) {
  const itimerval often{{0, microseconds}, {0, microseconds}};
  setitimer(ITIMER_REAL, &often, nullptr);
}

void block_signals() {
  sigset_t alarms;
  sigemptyset(&alarms), sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  std::unique_ptr<AttachSelf> attached;
  if (argc > 2) {
    attached = std::make_unique<AttachSelf>(argv[2]);
    attached->must_attach();
  }
  struct sigaction action = {};
  action.sa_handler = make_child;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  std::thread other;
  if (argv[1] == std::string_view("threads")) {
    other = std::thread([] {
      while (!stop) work();
    });
    block_signals();  // so that it is that thread which the handler interrupts
  }
  set_timer(500);
  while (children < kChildren) {
    work();
    if (rounds % 64 == 0) look_after_children(WNOHANG);
  }
  set_timer(0);
  stop = true;
  if (other.joinable()) other.join();
  look_after_children(0);
  if (attached) attached->must_detach();
  tell("steady_block", {rounds, rounds * 100, 0, 0});
  tell("grown_block", {rounds, rounds * 200, 0, 0});
}
