// SPDX-License-Identifier: Apache-2.0
//
// Stacks as the text forms of profiles have them (debug=1): addresses for programs, and below them a comment for
// people.
#pragma once

#include <string>
#include <vector>

#include "cli/profile/frame_finder.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

// " @ 0x55d0c3a4 0x55d0c2f1". Readers of the text form take one off each address, to land on the call. Ours stand on it
// already, so they are one more here than in the binary form.
std::string address_list(const StackTrace& stack);

// A line "#\t0xADDRESS\tFUNCTION\tFILE:LINE" for each function, inlined ones included, and an empty one. Go gives the
// distance from the function's start as well, which is not known here.
std::string symbol_lines(const StackTrace& stack, FrameFinder& frames);

// The executable segments as lines of /proc/PID/maps, which is how readers of the text form get their mappings.
std::string mapped_libraries(const std::vector<Module>& modules);

}  // namespace leakwatch
