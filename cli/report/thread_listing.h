// SPDX-License-Identifier: Apache-2.0
//
// Every thread by itself, as text: a table with a line for each, and below it the stacks that the lines refer to, each
// once. What Go's goroutine?debug=2 is for, but short enough for thousands of threads, and with what only a native
// thread has: the memory of its stack. Numbers are plain, with their unit in the head of the column, so that sort and
// awk can go on from here.
#pragma once

#include <cstddef>
#include <string>

#include "cli/profile/profile.h"
#include "cli/state/thread_snapshot.h"

namespace leakwatch {

// More threads than that, of those that live and of those that ended, are only counted.
inline constexpr std::size_t kMostThreadsListed = 10'000;

std::string thread_listing(const ThreadSnapshot& snapshot, const SymbolLookup& symbols);

}  // namespace leakwatch
