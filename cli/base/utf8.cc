// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/base/utf8.h"

#include <algorithm>
#include <cstddef>

namespace leakwatch {

namespace {

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
}

// Forms that are too long, surrogates and numbers past U+10FFFF all show in the second byte.
bool is_second_byte(unsigned char lead, char byte) {
  const auto second = static_cast<unsigned char>(byte);
  if (lead == 0xe0) return second >= 0xa0 && second <= 0xbf;
  if (lead == 0xed) return second >= 0x80 && second <= 0x9f;
  if (lead == 0xf0) return second >= 0x90 && second <= 0xbf;
  if (lead == 0xf4) return second >= 0x80 && second <= 0x8f;
  return continues(byte);
}

// Length of the UTF-8 sequence that `text` begins with, 0 when it begins with none. `text` is not empty.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length || !is_second_byte(lead, text[1])) return 0;
  return std::all_of(text.begin() + 2, text.begin() + static_cast<std::ptrdiff_t>(length), continues) ? length : 0;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    valid += length > 0 ? text.substr(0, length) : "\xef\xbf\xbd";
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

std::string on_one_line(std::string_view text) {
  std::string line = valid_utf8(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; }, '?');
  return line;
}

}  // namespace leakwatch
