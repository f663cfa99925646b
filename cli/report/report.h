// SPDX-License-Identifier: Apache-2.0
//
// What the user reads on the terminal: sentences and tables out of snapshots. Pure: values in, text out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

// One line per snapshot: time since the start, live heap, change since the first snapshot, RSS, threads, and where the
// profile went (or why it did not).
std::string snapshot_line(const HeapSnapshot& first, const HeapSnapshot& now, std::size_t threads,
                          double seconds_since_start, const std::string& profile_or_error);

// A site for the final table: one calling place, all stacks and sizes that share it.
struct GrownSite {
  std::int64_t bytes = 0;  // growth of inuse_space from the first snapshot to the last
  std::int64_t blocks = 0;
  std::string function;  // of the first frame that is the program's own
  std::string location;  // "session.cc:41", or "module+0x…" when nothing better is known
};

// The sites that grew most, largest first, at most `limit`; only those with bytes > 0. "The program's own" frame is the
// first one, from the leaf, that lies in the main executable or in a library outside the system's folders; else the
// leaf.
std::vector<GrownSite> grown_sites(const HeapSnapshot& first, const HeapSnapshot& last, const SymbolLookup& symbols,
                                   std::size_t limit);

// The final summary: the table, what was not seen, and the go tool pprof command to look further. When both profiles
// are the same one, the growth is that since the start.
std::string final_report(const HeapSnapshot& first, const HeapSnapshot& last, const SymbolLookup& symbols,
                         const std::string& first_profile, const std::string& last_profile);

}  // namespace leakwatch
