// SPDX-License-Identifier: Apache-2.0
//
// Threads as text, in the forms that Go gives its goroutines and threads.
//
// With debug=1 by stack, the most frequent first:
//
//   goroutine profile: total 9
//   8 @ 0x401136 0x4011f0
//   # labels: {"thread_name":"worker-*"}
//   #  0x401135  Queue::pop()  /src/queue.cc:41
//
// With debug=2 thread by thread; the number is the kernel's thread id:
//
//   goroutine 4711 [futex wait, 5 minutes]:
//   Queue::pop(...)
//      /src/queue.cc:41
//   created by Pool::start
//      /src/pool.cc:12
#pragma once

#include <string>
#include <string_view>

#include "cli/profile/profile.h"
#include "cli/state/thread_snapshot.h"

namespace leakwatch {

// `content` counts threads: one sample type. `name` is how the first line calls them.
std::string count_text(std::string_view name, const ProfileContent& content, const SymbolLookup& symbols,
                       const ProfileLimits& limits);

// As parsers of Go's traces want it: no argument lists but `(...)`, `??:0` where the source is not known, and the
// threads' names, for which that form has no place, in comments below the last one. Stops after the thread that
// exceeds 64 MiB, as Go does.
std::string stacks_text(const ThreadSnapshot& snapshot, const SymbolLookup& symbols);

}  // namespace leakwatch
