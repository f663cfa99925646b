// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/base/signals.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "cli/base/error.h"

namespace leakwatch {

namespace {

sigset_t set_of(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t ours = set_of({SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2});
  pthread_sigmask(SIG_BLOCK, &ours, &before_);
  // A stderr whose reader left and a limit on file sizes are errors of a write, not reasons to die. Blocked rather
  // than ignored: the program would inherit that.
  const sigset_t never = set_of({SIGPIPE, SIGXFSZ});
  pthread_sigmask(SIG_BLOCK, &never, nullptr);
  descriptor_ = Descriptor(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor_.is_open()) throw Error(fmt::format("cannot make a signalfd: {}", std::strerror(errno)));
}

std::optional<signalfd_siginfo> Signals::next() const {
  signalfd_siginfo info{};
  if (read(descriptor_.number(), &info, sizeof info) != sizeof info) return std::nullopt;
  return info;
}

}  // namespace leakwatch
