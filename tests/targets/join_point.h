// SPDX-License-Identifier: Apache-2.0
//
// Where a target can be joined before it does anything: with JOIN_POINT in its environment it says that it is ready,
// and waits for SIGUSR2.
#pragma once

#include <csignal>

#include "tests/targets/truth.h"

inline void wait_to_be_joined() {
  if (std::getenv("JOIN_POINT") == nullptr) return;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  say("ready");
  int signal = 0;
  require(sigwait(&signals, &signal) == 0, "sigwait");
}
