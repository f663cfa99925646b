// SPDX-License-Identifier: Apache-2.0
//
// A heap snapshot as a profile: `heap` and `allocs`, which differ only in the column that a reader shows first.
#pragma once

#include <string>

#include "cli/profile.h"
#include "cli/snapshot.h"

namespace leakwatch {

enum class HeapProfileKind { kHeap, kAllocs };

std::string build_heap_profile(const HeapSnapshot& snapshot, const SymbolLookup& symbols, HeapProfileKind kind);

}  // namespace leakwatch
