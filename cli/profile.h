// SPDX-License-Identifier: Apache-2.0
//
// From a snapshot and its symbols to the bytes of a pprof profile. The only includer of protobuf and zlib.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/snapshot.h"
#include "symbolize/symbolizer.h"

namespace leakwatch {

// How the profile builder asks for symbols: `address` is in the file's own address space.
struct SymbolLookup {
  std::function<const std::vector<Frame>&(const Module&, std::uint64_t address)> frames;
  std::function<SymbolSource(const Module&)> source;
};

enum class HeapProfileKind { kHeap, kAllocs };

// Uncompressed profile.proto bytes. The same snapshot gives the same bytes, whatever the order of its samples, stacks
// and modules (but for modules[0]).
std::string build_heap_profile(const HeapSnapshot& snapshot, const SymbolLookup& symbols, HeapProfileKind kind);

// gzip with no name and no time in its header: equal input, equal output.
std::string gzip(const std::string& bytes);

}  // namespace leakwatch
