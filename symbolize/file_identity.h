// SPDX-License-Identifier: Apache-2.0
//
// Opening files that somebody else's process names, and the text of the build ids that tell whether they are the right
// ones.
#pragma once

#include <cstddef>
#include <string>

namespace leakwatch {

// A descriptor of a regular file, or -1. Never waits, as opening somebody's pipe would.
int open_regular(const std::string& path);

// Of an ELF file, lower-case hexadecimal; empty when it has none or is no such file.
std::string build_id_of(const std::string& path);

// Lower-case hexadecimal.
std::string build_id_text(const unsigned char* bytes, std::size_t count);

}  // namespace leakwatch
