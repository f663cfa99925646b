// SPDX-License-Identifier: Apache-2.0
//
// Text from other people's files, made fit for readers that refuse what is not UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace leakwatch {

// Each bad byte is replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

// Valid UTF-8 without control characters: a name that cannot break the line it is printed on, nor steer a terminal.
std::string on_one_line(std::string_view text);

}  // namespace leakwatch
