// SPDX-License-Identifier: Apache-2.0
//
// What the command says on standard error while it runs.
#pragma once

#include <string>

namespace leakwatch {

// A line with the program's name in front, in one write.
void say(const std::string& line);

}  // namespace leakwatch
