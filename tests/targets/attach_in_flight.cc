// SPDX-License-Identifier: Apache-2.0
//
// attach_in_flight OBJECT: detached while a thread is inside a hook and stays there: it waits for room, since the
// leakwatch that it writes to (our parent) is stopped, and a signal handler that does not end holds it. Its session's
// memory stays for it, the next session has memory of its own, and in the end all is gone.

#include <signal.h>

#include <atomic>
#include <thread>

#include "tests/targets/attach_self.h"

namespace {

using Outcome = AttachSelf::Outcome;
std::atomic<bool> stop, hold, held;
std::atomic<long> progress;

void hold_on(int) {
  held = true;
  while (hold) usleep(1000);
  held = false;
}

// Longer than anything takes but a full ring.
bool is_stuck() {
  const long before = progress;
  usleep(20'000);
  return progress == before;
}

}  // namespace

SITE void* busy_block() {
  return malloc(50);
}
SITE void* calm_block() {
  return malloc(500);
}

namespace {

void keep_busy() {
  while (!stop) {
    free(busy_block());
    ++progress;
  }
}

// True once a session was ended with the thread inside.
bool detach_with_thread_inside(const AttachSelf& self, pthread_t busy) {
  self.must_attach();
  kill(getppid(), SIGSTOP);
  for (int i = 0; i < 50 && !is_stuck(); ++i) {
  }
  hold = true;
  pthread_kill(busy, SIGUSR1);
  while (!held) usleep(100);
  const Outcome outcome = self.detach();
  kill(getppid(), SIGCONT);
  if (outcome == Outcome::kHooksInFlight) return true;
  require(outcome == Outcome::kDone, "detach");
  hold = false;
  while (held) usleep(100);
  return false;
}

}  // namespace

int main(int, char** argv) {
  const AttachSelf self(argv[1]);
  struct sigaction action {};
  action.sa_handler = hold_on;
  sigaction(SIGUSR1, &action, nullptr);
  std::thread busy(keep_busy);
  bool inside = false;
  for (int i = 0; i < 20 && !inside; ++i) inside = detach_with_thread_inside(self, busy.native_handle());
  require(inside, "a thread inside a hook");
  require(self.state().sessions_kept == 1 && self.state().slots_patched == 0, "detached all the same");
  require(self.detach() == Outcome::kHooksInFlight, "still inside");
  // The next session does not mind.
  say("round 1");
  self.must_attach();
  require(calm_block() != nullptr, "malloc");
  require(self.detach() == Outcome::kHooksInFlight && self.state().sessions_kept == 1, "the first one is kept");
  tell("calm_block", {1, 500, 1, 500}), tell("busy_block", {});
  hold = false;
  while (held) usleep(100);
  stop = true;
  busy.join();
  require(self.detach() == Outcome::kDone && self.state().sessions_kept == 0, "nothing is kept");
  self.must_attach();
  self.must_detach();
}
