// SPDX-License-Identifier: Apache-2.0
//
// From what the user typed to the ELF file that will run: as execvp searches, and as the kernel follows #! lines.
// Throws Error, in words for the user, where they would fail.
#pragma once

#include <string>

namespace leakwatch {

// The path that will be executed.
std::string find_command(const std::string& command);

// `file` itself if it is an ELF file, else the interpreter that its #! line leads to, through env(1) too.
std::string follow_scripts(const std::string& file);

}  // namespace leakwatch
