// SPDX-License-Identifier: Apache-2.0

#include "cli/base/terminal.h"

#include <fmt/format.h>

#include <cstdio>
#include <sstream>

namespace leakwatch {

std::string printable(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // The second set of control characters, as UTF-8 has it.
    const bool is_second_set = byte >= 0x80 && byte < 0xa0 && i > 0 && text[i - 1] == '\xc2';
    if (is_second_set) text[i - 1] = '?';
    if (byte < 0x20 || byte == 0x7f || is_second_set) text[i] = '?';
  }
  return text;
}

void say(const std::string& text) {
  std::string said = "leakwatch: ";
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) said += printable(line) + '\n';
  std::fputs(said.c_str(), stderr);
}

}  // namespace leakwatch
