// SPDX-License-Identifier: Apache-2.0
//
// How a program is refused before it starts.
#pragma once

#include <algorithm>
#include <string>

#include "cli/error.h"

namespace leakwatch {

inline constexpr int kCannotExecute = 126;
inline constexpr int kNotFound = 127;

[[noreturn]] inline void refuse(std::string message, int status = kCannotExecute) {
  // Names come from files; a terminal must not obey them.
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  throw Error(message, status);
}

}  // namespace leakwatch
