// SPDX-License-Identifier: Apache-2.0
//
// A look at a process that runs, before leakwatch joins it: refuses, in words, what cannot be joined, and says what
// else is to be known of it. The process is not changed. Only where it has filters of system calls of its own, its
// threads are stopped for an instant each to read them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/process/seccomp_filter.h"

namespace leakwatch {

// Our object, as a process has it loaded.
struct LoadedObject {
  std::string path;            // as the process names it
  std::uint64_t start = 0;     // of its ELF header
  std::string build_id;        // lower-case hex
  bool has_operators = false;  // the variant that also stands in front of the C++ operators
};

struct AttachFacts {
  pid_t pid = 0;
  std::string executable;  // as the process names it
  std::string root;        // foreign_root, see process.h
  uid_t user = 0;          // who opens files there, and calls us
  gid_t group = 0;
  bool own_operators = false;  // as in Preflight
  std::optional<LoadedObject> object;
  std::vector<std::string> warnings;  // whole sentences
};

// Throws Error when a seccomp filter of one of the process's threads, `subject` in words, forbids one of the calls.
void refuse_filtered(pid_t pid, const std::string& subject, JoiningCalls calls);

// Throws Error: with status 127 when there is no such process, and 126 for all else, with a message that says why it
// cannot be joined and what would permit it.
AttachFacts inspect_process(pid_t pid);

// The same of a process that sleeps and will be woken, so that nobody has to look into it: what cannot be read stays
// unknown.
AttachFacts inspect_sleeping_process(pid_t pid);

}  // namespace leakwatch
