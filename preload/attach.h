// SPDX-License-Identifier: Apache-2.0
//
// Joining a program that already runs, and leaving it: proto/attach_state.h says what is exported for that.
#pragma once

#include "preload/wake_page.h"

namespace leakwatch::preload {

// Whether the program's calls reach us by name, since we were loaded in front of its allocator. Otherwise we were
// loaded into it later, and only patched slots lead here.
bool is_preloaded();

// What a process does that sleeps, or slept, and is called by its wake page.
attach::Outcome answer_wake_call(const WakeCall& call);

}  // namespace leakwatch::preload
