// SPDX-License-Identifier: Apache-2.0
//
// Joining a program that already runs, and leaving it: proto/attach_state.h says what is exported for that.
#pragma once

namespace leakwatch::preload {

// Whether the program's calls reach us by name, since we were loaded in front of its allocator. Otherwise we were
// loaded into it later, and only patched slots lead here.
bool is_preloaded();

}  // namespace leakwatch::preload
