// SPDX-License-Identifier: Apache-2.0
//
// joins PID CALLS: for how long a thread of a process that leakwatch has joined is stopped, and how long it is away in
// the call, when it is made to look at the modules once more; and how long the last call was before that, which is the
// beginning of the session. Attach and detach stop a thread in the same way. Prints a line of JSON, times in
// microseconds.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cli/trace/remote_call.h"
#include "proto/attach_state.h"
#include "symbolize/process_memory.h"

namespace {

using leakwatch::LoadedModules;
using leakwatch::ModuleRole;

double last_call_us(pid_t pid) {
  LoadedModules modules(pid);
  modules.refresh();
  const leakwatch::LoadedModule* own = modules.with_role(ModuleRole::kOwn);
  const leakwatch::LoadedSymbol* state = own == nullptr ? nullptr : own->exports.find(leakwatch::attach::kStateName);
  if (state == nullptr) return 0;
  std::uint64_t ns = 0;
  const std::uint64_t address = state->address + offsetof(leakwatch::attach::State, last_call_ns);
  leakwatch::read_process_memory(pid, address, &ns, sizeof ns);
  return static_cast<double>(ns) / 1000;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const pid_t pid = std::atoi(argv[1]);
  const int calls = std::atoi(argv[2]);
  const double beginning_us = last_call_us(pid);
  leakwatch::RemoteCall remote(pid);
  std::vector<double> stops, looks;
  int attempts = 0;
  for (int i = 0; i < calls; ++i) {
    const std::uint64_t function = remote.find_function(ModuleRole::kOwn, leakwatch::attach::kAttachFunction);
    const leakwatch::RemoteCallResult result = remote.call(function, {std::uint64_t{0}});
    if (result.state != leakwatch::RemoteCallResult::State::kReturned) {
      std::fprintf(stderr, "joins: %s\n", result.reason.c_str());
      return 1;
    }
    attempts += result.attempts;
    stops.push_back(static_cast<double>(std::max(result.stopped_ns, result.longest_stop_ns)) / 1000);
    looks.push_back(last_call_us(pid));
  }
  std::sort(stops.begin(), stops.end());
  std::sort(looks.begin(), looks.end());
  fmt::print(R"({{"beginning": {:.0f}, "stop_median": {:.1f}, "stop_max": {:.1f}, "look_median": {:.1f}, )"
             R"("look_max": {:.1f}, "attempts": {}}})"
             "\n",
             beginning_us, stops[stops.size() / 2], stops.back(), looks[looks.size() / 2], looks.back(), attempts);
}
