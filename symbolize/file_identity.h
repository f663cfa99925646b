// SPDX-License-Identifier: Apache-2.0
//
// Opening files that somebody else's process names, and the text of the build ids that tell whether they are the right
// ones.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace leakwatch {

// A descriptor of a regular file, or -1. Never waits, as opening somebody's pipe would.
int open_regular(const std::string& path);

// The kernel's link to the file that a process has mapped at exactly [start, limit), which is right even after the file
// was deleted or replaced. Following it takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (proc(5)).
std::string map_file_path(pid_t pid, std::uint64_t start, std::uint64_t limit);

// Of an ELF file, lower-case hexadecimal; empty when it has none or is no such file.
std::string build_id_of(const std::string& path);

// Lower-case hexadecimal.
std::string build_id_text(const unsigned char* bytes, std::size_t count);

}  // namespace leakwatch
