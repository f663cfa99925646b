// SPDX-License-Identifier: Apache-2.0
//
// Amounts as people write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace leakwatch {

// "1.50 MiB", "812 B": three digits at most, as more of them are never looked at.
std::string format_size(std::uint64_t bytes);
// The same of what may be below zero; and with a sign in any case: "+1.50 MiB".
std::string format_bytes(std::int64_t bytes);
std::string format_change(std::int64_t bytes);

// "1,234,567"; with a noun "1 block", "1,234 blocks".
std::string format_count(std::int64_t number, std::string_view noun = {});

// "12%", "0.73%", "0.012%": two digits or more.
std::string format_share(double share);

// "64KiB", "1MiB", "512k", "4096", "1.5M": bytes, in powers of 1024. Throws Error.
std::uint64_t parse_size(std::string_view text);

// "30s", "500ms", "2m", "1h", "1.5s"; a bare number is seconds. Throws Error.
std::chrono::milliseconds parse_duration(std::string_view text);

// "1%", "0.5%"; a bare number is per cent too. The share, above 0 and up to 1. Throws Error.
double parse_percentage(std::string_view text);

}  // namespace leakwatch
