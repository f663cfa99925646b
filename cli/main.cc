// SPDX-License-Identifier: Apache-2.0
//
// leakwatch: reads the command line, does what it says, and turns the one kind of exception that there is into a
// message and an exit status.

#include <fmt/format.h>

#include <exception>
#include <string>

#include "cli/attach.h"
#include "cli/base/error.h"
#include "cli/base/terminal.h"
#include "cli/options.h"
#include "cli/run.h"

int main(int argc, char** argv) try {
  const leakwatch::CommandLine line = leakwatch::parse_command_line(argc, argv);
  switch (line.action) {
    case leakwatch::CommandLine::Action::kRun:
      return leakwatch::run(line.run);
    case leakwatch::CommandLine::Action::kAttach:
      return leakwatch::attach_to_process(line.attach);
    case leakwatch::CommandLine::Action::kDetach:
      return leakwatch::detach_from_process(line.detach);
    case leakwatch::CommandLine::Action::kPrintAndLeave:
      fmt::print("{}", line.text);
      return 0;
  }
} catch (const leakwatch::Error& error) {
  leakwatch::say(error.what());
  return error.status();
} catch (const std::exception& error) {
  leakwatch::say(std::string("internal error: ") + error.what());
  return 125;
}
