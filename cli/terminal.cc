// SPDX-License-Identifier: Apache-2.0

#include "cli/terminal.h"

#include <fmt/format.h>

#include <cstdio>

namespace leakwatch {

void say(const std::string& line) {
  std::fputs(fmt::format("leakwatch: {}\n", line).c_str(), stderr);
}

}  // namespace leakwatch
