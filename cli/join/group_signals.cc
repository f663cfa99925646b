// SPDX-License-Identifier: Apache-2.0
//
// See the header. The witness ends with us: its parent's death kills it, and so does the end of the pipe.

#include "cli/join/group_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace leakwatch {

namespace {

// A signal to a group reaches its members one after the other, without a pause.
constexpr std::chrono::milliseconds kPatience{20};
// Two signals of one kind may become one for us and stay two for the witness: an old report proves nothing.
constexpr std::chrono::milliseconds kReportAge{200};

[[noreturn]] void report_signals(int reports) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "lw-signals");
  for (int other = 0; other < 3; ++other) close(other);  // nobody must wait for us to let go of a pipe
  close_range(3, static_cast<unsigned>(reports) - 1, 0);
  close_range(static_cast<unsigned>(reports) + 1, ~0u, 0);
  if (chdir("/") != 0) _exit(1);
  sigset_t all;
  sigfillset(&all);
  while (true) {
    const int signal = sigwaitinfo(&all, nullptr);
    if (signal <= 0) continue;
    const char report = static_cast<char>(signal);
    if (write(reports, &report, 1) != 1) _exit(0);
  }
}

}  // namespace

GroupSignals::GroupSignals() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  witness_ = fork();
  if (witness_ == 0) report_signals(ends[1]);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  reports_ = Descriptor(ends[0]);
  close(ends[1]);
}

GroupSignals::~GroupSignals() {
  if (witness_ <= 0) return;
  kill(witness_, SIGKILL);
  waitpid(witness_, nullptr, 0);
}

void GroupSignals::tend() {
  if (witness_ > 0 && waitpid(witness_, nullptr, WNOHANG) == witness_) witness_ = -1;
}

bool GroupSignals::reached_group(int signal) {
  if (witness_ <= 0 || signal <= 0 || signal >= static_cast<int>(seen_.size())) return false;
  Clock::time_point& seen = seen_[static_cast<std::size_t>(signal)];
  const auto give_up = Clock::now() + kPatience;
  do {
    read_reports(std::chrono::milliseconds(1));
    if (seen == Clock::time_point() || Clock::now() - seen > kReportAge) continue;
    seen = Clock::time_point();
    return true;
  } while (Clock::now() < give_up);
  return false;
}

void GroupSignals::read_reports(std::chrono::milliseconds patience) {
  pollfd one{reports_.number(), POLLIN, 0};
  if (poll(&one, 1, static_cast<int>(patience.count())) != 1) return;
  char reports[64];
  const ssize_t count = read(reports_.number(), reports, sizeof reports);
  for (ssize_t i = 0; i < count; ++i) {
    const std::size_t signal = static_cast<unsigned char>(reports[i]);
    if (signal < seen_.size()) seen_[signal] = Clock::now();
  }
}

}  // namespace leakwatch
