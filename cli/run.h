// SPDX-License-Identifier: Apache-2.0
//
// `leakwatch run`: start a program, watch it, write its profiles, report.
#pragma once

#include "cli/options.h"

namespace leakwatch {

// Returns the program's own exit status, 128 + N after signal N. Throws Error before the program runs.
int run(const RunOptions& options);

}  // namespace leakwatch
