// SPDX-License-Identifier: Apache-2.0
//
// The page at /debug/pprof/: what there is, how much of it, and what it means.
#pragma once

#include <string>

#include "cli/session/profile_source.h"

namespace leakwatch {

// HTML of the structure that Go's page has: a table of counts and links, then descriptions.
std::string pprof_index(const LiveTotals& totals);

}  // namespace leakwatch
