// SPDX-License-Identifier: Apache-2.0
//
// A heap snapshot as a profile: `heap` and `allocs`, which differ only in the column that matters first.
#pragma once

#include <string>

#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

enum class HeapProfileKind { kHeap, kAllocs };

// The snapshot must outlive the content.
ProfileContent heap_content(const HeapSnapshot& snapshot, HeapProfileKind kind);

// The file.
std::string build_heap_profile(const HeapSnapshot& snapshot, const SymbolLookup& symbols, HeapProfileKind kind);

}  // namespace leakwatch
