// SPDX-License-Identifier: Apache-2.0
//
// `heap` and `allocs` with debug=1: gperftools' text form, as Go writes it.
//
//   heap profile: 3: 196608 [8: 524288] @ heap/1048576      live objects: bytes [ever allocated], twice the interval;
//                                                           one byte more than allocated where all of it is live
//   1: 65536 [4: 262144] @ 0x401136 0x4011f0                one line per stack and size
//   #  0x401135  Cache::insert(int)  /src/cache.cc:41
//
//   # Sampled: ...                                          what a reader of the binary form finds in its comments
//
//   MAPPED_LIBRARIES:
//   00401000-00402000 r-xp 00001000 00:00 0 /opt/app/server
//
// Readers take the figures for what was sampled and scale them up themselves. So they stand here as they were before
// they were scaled, and what a reader shows are the binary form's, but for rounding.
#pragma once

#include <string>

#include "cli/profile/profile.h"

namespace leakwatch {

// `content` is that of heap_content(), for one moment.
std::string heap_text(const ProfileContent& content, const SymbolLookup& symbols, const ProfileLimits& limits);

}  // namespace leakwatch
