// SPDX-License-Identifier: Apache-2.0
//
// How a program is refused before it starts.
#pragma once

#include <string>
#include <utility>

#include "cli/base/error.h"
#include "cli/base/terminal.h"

namespace leakwatch {

inline constexpr int kCannotExecute = 126;
inline constexpr int kNotFound = 127;

[[noreturn]] inline void refuse(std::string message, int status = kCannotExecute) {
  throw Error(printable(std::move(message)), status);  // names come from files
}

}  // namespace leakwatch
