// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "symbolize/kernel_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace leakwatch {

std::string read_kernel_file(const std::string& path) {
  std::string text;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 16384> part{};
  for (ssize_t size = 0; (size = read(file, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  close(file);
  return text;
}

}  // namespace leakwatch
