// SPDX-License-Identifier: Apache-2.0
//
// A thread beside the main one: no signal reaches it, and `ps -L` shows its name.
#pragma once

#include <functional>
#include <thread>

namespace leakwatch {

// `name` has at most 15 characters. `niceness` is added to the caller's. Throws std::system_error.
std::thread background_thread(const char* name, int niceness, std::function<void()> body);

}  // namespace leakwatch
