// SPDX-License-Identifier: Apache-2.0
//
// The command line. The only includer of the option parser.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/http/http_address.h"

namespace leakwatch {

// How to watch, and where what is seen goes.
struct WatchOptions {
  std::chrono::milliseconds interval{30'000};
  std::string output;                                         // empty: leakwatch-NAME-PID
  std::uint64_t sample_interval = std::uint64_t{512} * 1024;  // bytes; 1 with --exact
  double overhead = 0;  // what recording may cost, as a share of the program's processor time; 0: the interval stays
  std::uint32_t max_depth = 128;
  std::uint64_t seed = 0;  // 0: a different one every time
  bool quiet = false;
  std::optional<HttpAddress> http;      // where to serve; empty: nowhere
  std::vector<std::string> http_hosts;  // names for the Host header beside those of the address itself
};

struct RunOptions : WatchOptions {
  std::vector<std::string> command;  // never empty
};

struct AttachOptions : WatchOptions {
  int pid = 0;
  std::optional<std::chrono::milliseconds> duration;  // empty: until somebody says so
};

struct DetachOptions {
  int pid = 0;
};

struct CommandLine {
  enum class Action { kPrintAndLeave, kRun, kAttach, kDetach } action = Action::kPrintAndLeave;
  std::string text;  // kPrintAndLeave: help, version
  RunOptions run;    // kRun
  AttachOptions attach;
  DetachOptions detach;
};

// Throws Error for what it does not understand, with a hint at the help.
CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace leakwatch
