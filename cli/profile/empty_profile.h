// SPDX-License-Identifier: Apache-2.0
//
// Profiles that readers ask a Go service for and that leakwatch does not take: valid, of the right types, and empty, so
// that a scraper goes on with the ones that are there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/profile/profile.h"

namespace leakwatch {

// `block` and `mutex`: contentions/count and delay/nanoseconds.
ProfileContent contention_content(std::int64_t time_ns);

// `profile`: samples/count and cpu/nanoseconds, at 100 samples a second.
ProfileContent cpu_content(std::int64_t time_ns, std::int64_t duration_ns);

// `block` and `mutex` with debug=1, in the text form that they have in Go.
std::string block_text();
std::string mutex_text();

}  // namespace leakwatch
