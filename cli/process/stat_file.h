// SPDX-License-Identifier: Apache-2.0
//
// The file `stat` of a process in /proc. Everything may be gone at any moment: then the answer is empty.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace leakwatch {

// Its fields under the numbers that proc(5) gives them; all empty up to the name, which may hold anything.
std::vector<std::string> stat_fields(pid_t pid);

// What is different after the process has executed a program, also the same one again; empty also when it does not let
// us look.
std::string memory_layout(pid_t pid);
// Since it had that layout. False also where one of the two could not be looked at.
bool has_executed_since(pid_t pid, const std::string& layout);

}  // namespace leakwatch
