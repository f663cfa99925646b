// SPDX-License-Identifier: Apache-2.0
//
// The files in which the kernel tells of processes. Those of a process that ends stop in the middle with an error,
// which a C++ stream throws as an exception where it is read character by character.
#pragma once

#include <string>

namespace leakwatch {

// What can be read of it; empty when it cannot be opened.
std::string read_kernel_file(const std::string& path);

}  // namespace leakwatch
