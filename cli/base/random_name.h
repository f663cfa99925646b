// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <random>
#include <string>

namespace leakwatch {

// So many lower-case hexadecimal digits, for a name that nobody else has given.
inline constexpr std::size_t kRandomDigits = 16;
inline std::string random_digits() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

}  // namespace leakwatch
