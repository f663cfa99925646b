// SPDX-License-Identifier: Apache-2.0
//
// The life of one watched process, as one loop over four things that can happen: it calls us, the clock strikes, a
// signal comes, it ends. Nothing here may hurt it: what goes wrong is said and passed over.
#pragma once

#include <sys/signalfd.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/base/signals.h"
#include "cli/join/rendezvous.h"
#include "cli/options.h"
#include "cli/report/profile_writer.h"
#include "cli/serve/history.h"
#include "cli/serve/http_sink.h"
#include "cli/session/session.h"
#include "cli/session/watch.h"
#include "symbolize/symbol_service.h"

namespace leakwatch {

struct WatchedProcess {
  pid_t pid = 0;
  int pidfd = -1;                     // readable when it has ended
  std::vector<std::string> command;   // its name and arguments
  std::vector<std::string> warnings;  // what will not be seen, as sentences
  std::string executable = {};        // its path, for when it does not let us read that
};

// What the ways to come to a process (run, attach) do each in its own.
struct WatchRules {
  std::function<void(const signalfd_siginfo&)> on_signal;  // but for SIGUSR1, which asks for a profile
  std::function<void()> on_session = [] {};                // the process has called, and its session begins
  std::function<void()> on_tend = [] {};                   // every second
  std::string on_silence;                                  // said when the process has not called in good time
};

class Watcher {
 public:
  using Clock = std::chrono::steady_clock;

  // Makes the folder for the profiles and serves, if that is asked for: throws Error while nothing is lost yet. The
  // others must outlive it.
  Watcher(const WatchOptions& options, const Signals& signals, Rendezvous& rendezvous, WatchedProcess process);

  // Says what is watched and where the profiles go.
  void announce() const;

  // Until the process ends or leave() was called.
  void watch(const WatchRules& rules);

  // From inside a rule: watch() returns.
  void leave() { is_leaving_ = true; }

  // See Session::end_recording(). False when there is no session.
  bool end_recording();

  // The last profile and the report. False when there is nothing to show.
  bool conclude();

 private:
  ProfileFolder make_folder() const;
  std::string format_interval() const;
  void wait_for_something(const WatchRules& rules);
  void welcome(const WatchRules& rules);
  void end_of_previous_program(const std::string& successor);
  void take_signals(const WatchRules& rules);
  void tend(const WatchRules& rules);
  void look_for_unwatched_program();
  void profile_on_time();
  void write_profile(bool is_last = false);

  const WatchOptions& options_;
  const Signals& signals_;
  Rendezvous& rendezvous_;
  const WatchedProcess process_;
  ProfileWriter writer_;
  std::shared_ptr<SymbolService> symbols_;
  std::shared_ptr<Session> session_;
  Watch watch_;
  History history_;
  std::optional<HttpSink> http_;
  Clock::time_point started_, next_profile_, next_tend_;
  bool is_leaving_ = false;
  bool has_profiles_ = false;  // of the program that runs now
  bool warned_of_silence_ = false;
  int unwatched_looks_ = 0;  // so often in a row the process was seen to run what has not called back
};

}  // namespace leakwatch
