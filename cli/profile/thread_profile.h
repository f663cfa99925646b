// SPDX-License-Identifier: Apache-2.0
//
// A thread snapshot as profiles: threads by where they are now, and by who created them. On a disk with all that is
// known; over HTTP with the one type that Go's profiles of these names have, since that is what scrapers merge by.
#pragma once

#include <string>

#include "cli/profile/profile.h"
#include "cli/state/thread_snapshot.h"

namespace leakwatch {

// The files. `threads`: one sample type, threads/count, with the thread's folded name as label `thread_name`.
std::string build_threads_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols);

// Sample types threadcreate/count (all that were ever created), running/count, ended_unjoined/count and
// stack/bytes (reserved by the latter two). A reader shows running first.
std::string build_threadcreate_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols);

// What is served; the snapshot must outlive it. `goroutine`: goroutine/count, the threads that are there now, by where
// they are, with the label `thread_name`.
ProfileContent goroutine_content(const ThreadSnapshot& snapshot);

// `threadcreate`: threadcreate/count, all that were ever created, by who created them. It never falls, so that a delta
// shows how many threads a time has cost; how many there are is what `goroutine` tells.
ProfileContent threadcreate_content(const ThreadSnapshot& snapshot);

}  // namespace leakwatch
