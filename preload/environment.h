// SPDX-License-Identifier: Apache-2.0
//
// The environment variables that brought us into this process, and taking them out again, so that programs which the
// target executes do not inherit us.
#pragma once

#include <cstdint>

namespace leakwatch::preload {

// The path of leakwatch's socket, or null when nobody called us.
const char* socket_from_environment();

// Removes our object from LD_PRELOAD, and our own variable.
void forget_environment();

// Whether a session may be started in a call from `from`: libc must be initialised (it has an environment then), and
// the caller must not be the dynamic loader, which is in the middle of something when it allocates.
bool may_start_from(std::uint64_t from);

}  // namespace leakwatch::preload
