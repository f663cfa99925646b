// SPDX-License-Identifier: Apache-2.0
//
// A thread snapshot as profiles: threads by where they are now, and by who created them.
#pragma once

#include <string>

#include "cli/profile.h"
#include "cli/thread_snapshot.h"

namespace leakwatch {

// One sample type, threads/count, with the thread's folded name as label `thread_name`.
std::string build_threads_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols);

// Sample types threadcreate/count (all that were ever created), running/count, ended_unjoined/count and
// stack/bytes (reserved by the latter two). A reader shows running first.
std::string build_threadcreate_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols);

}  // namespace leakwatch
