// SPDX-License-Identifier: Apache-2.0
//
// What the user reads about threads: which groups grew, where they wait and who made them; who was never joined.
#pragma once

#include <string>
#include <vector>

#include "cli/profile/profile.h"
#include "cli/state/thread_snapshot.h"

namespace leakwatch {

struct ThreadGroup {
  std::int64_t grown = 0;  // threads more than at first
  std::int64_t now = 0;
  std::string state;    // what most of them do: "futex wait"
  std::string place;    // "Session::wait session.cc:41"
  std::string creator;  // likewise
};

// Groups of threads at one place, made at one place, that grew from `first` to `last`; those that grew most first.
std::vector<ThreadGroup> grown_groups(const ThreadSnapshot& first, const ThreadSnapshot& last,
                                      const SymbolLookup& symbols, std::size_t limit);

// Sentences for the summary, each a line: the groups that grew, ended threads that nobody joined. Empty when there is
// nothing to say. `since` tells from when growth counts: "since the first profile".
std::string thread_report(const ThreadSnapshot& first, const ThreadSnapshot& last, const SymbolLookup& symbols,
                          const std::string& since);

}  // namespace leakwatch
