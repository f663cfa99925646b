// SPDX-License-Identifier: Apache-2.0
//
// What a thread does that is in a system call, in words close to those of Go's goroutine profile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leakwatch {

struct SystemCallWords {
  std::string_view words;       // "futex wait"; empty for a call that is not known to sleep
  bool has_descriptor = false;  // the first argument is one
  bool is_a_restart = false;    // the kernel goes on with an earlier call, which it does not name
};

SystemCallWords describe_system_call(std::int64_t number);

// The words for where in the kernel a thread waits, for a call that does not name itself. Empty when not known.
std::string_view describe_wait_channel(std::string_view channel);

}  // namespace leakwatch
