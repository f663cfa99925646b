// SPDX-License-Identifier: Apache-2.0
//
// Which libraries will a program load? Only its own dynamic loader knows: RUNPATH, the cache, LD_LIBRARY_PATH,
// LD_PRELOAD and hwcaps folders all have a say. So we ask it, in the environment that the program will get, and never
// search ourselves. No code of the program or of its libraries runs.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace leakwatch {

// Paths of the libraries that `loader` would load for `executable`, its preloads among them, in load order. Empty when
// the loader fails or does not answer in time.
std::vector<std::string> list_libraries(const std::string& loader, const std::string& executable,
                                        std::chrono::milliseconds time_limit = std::chrono::seconds(5));

// The same from what a loader printed: lines "name => /path (0x…)" and "/path (0x…)".
std::vector<std::string> parse_library_list(std::string_view text);

}  // namespace leakwatch
