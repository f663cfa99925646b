// SPDX-License-Identifier: Apache-2.0
//
// A look at the program's ELF file before it is started: refuses, in words, what cannot be watched, and names what will
// not be seen.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <string>
#include <vector>

namespace leakwatch {

struct Preflight {
  std::string command;     // path that will be executed, found on PATH like execvp does
  std::string executable;  // the ELF file that runs: `command`, or the interpreter that its #! line leads to
  bool is_script = false;
  // An allocator library among the program's libraries (or in LD_PRELOAD) has C++ operators of its own which do not go
  // through malloc, so the preload variant that also interposes the operators is needed.
  bool own_operators = false;
  std::vector<std::string> warnings;  // whole sentences, e.g. about an allocator linked into the executable
};

// `command` is argv[0] of the program. Throws Error (status 127: not found, 126: all else) with a message that says why
// it cannot be watched and what would work.
Preflight inspect_command(const std::string& command);

// Why the kernel would start `file` in secure mode, in which the dynamic loader ignores preloads, for a process with
// these real and effective ids; empty if it would not.
std::string privileges_gained(const struct stat& file, bool has_capabilities, const ucred& real,
                              const ucred& effective);

}  // namespace leakwatch
