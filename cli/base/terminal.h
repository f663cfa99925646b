// SPDX-License-Identifier: Apache-2.0
//
// What the command says on standard error while it runs.
#pragma once

#include <string>

namespace leakwatch {

// With names out of the target's files in it, as text only: no byte steers a terminal, or begins a line.
std::string printable(std::string text);

// A line, or several, with the program's name in front, in one write. Only the breaks between lines are obeyed.
void say(const std::string& text);

}  // namespace leakwatch
