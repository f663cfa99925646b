// SPDX-License-Identifier: Apache-2.0
//
// The walk for stacks with a frame that a FrameRule cannot say (DWARF expressions, CFAs from other registers), by
// libunwind. It is also the oracle of the test that compares both walks.
//
// libunwind is opened with dlopen and RTLD_LOCAL, so its _Unwind_* never take over the program's exceptions, and in its
// "remote" flavour with accessors of ours: the local one opens a pipe to probe addresses, locks, masks signals by
// system calls and takes the loader's lock. It has locks inside all the same, so one thread at a time is let in, and
// whoever finds it taken ends its stack with a mark.
#pragma once

#include <cstdint>

namespace leakwatch::preload {

struct Session;

// Opens the library, never from inside an allocation of the program. False when it is not to be had. Tried once: later
// calls do not come near the loader.
bool open_libunwind();

// As unwind(), for the caller of our own functions on this thread's stack. `done` addresses of the simple walk are
// already there and are kept when libunwind cannot be used.
std::uint32_t unwind_complex(Session& session, std::uint64_t* addresses, std::uint32_t max_depth, std::uint32_t done);

}  // namespace leakwatch::preload
