// SPDX-License-Identifier: Apache-2.0
//
// From where on a thread's own stack is known to be mapped up to its end. A stack pointer alone says little: it may be
// on a coroutine's stack, which ends anywhere below. Own stacks stay as long as their thread, so what was once seen to
// be mapped without a gap stays so.
#pragma once

#include <cstdint>

#include "preload/thread_state.h"

namespace leakwatch::preload {

// Whether that can be said from `sp` on, below which nothing was known so far. `end` is the end of the thread's stack;
// `last_frame`, where a walk from `sp` ended, or 0 when it was cut. Looks at the pages once, and gives up on threads
// for which it failed a few times.
bool extend_mapped_stack(ThreadState& thread, std::uint64_t sp, std::uint64_t end, std::uint64_t last_frame);

}  // namespace leakwatch::preload
