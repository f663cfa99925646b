// SPDX-License-Identifier: Apache-2.0
//
// The environment variables that brought us into this process, and taking them out again, so that programs which the
// target executes do not inherit us.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

// The path of leakwatch's socket, or null when nobody called us.
const char* socket_from_environment();

// Removes our object from LD_PRELOAD, and our own variable; keeps both for add_ourselves.
void forget_environment();

// For a process that was joined while it ran, where nothing of us is in the environment: what it would have been. A
// null `socket` forgets that. An object that a later program cannot open by this path is of no use.
void remember_ourselves(const char* object, const char* socket);
bool can_add_ourselves();

// For a program that this process becomes: `enlarged`, with room for kRoomForOurselves more than count_variables(),
// becomes `variables` with our object in front of what LD_PRELOAD names, and the way to leakwatch.
inline constexpr std::size_t kRoomForOurselves = 3;  // two variables and the end
std::size_t count_variables(char* const* variables);
void add_ourselves(char* const* variables, char** enlarged);

// Whether a session may be started in a call from `from`: not in one of the dynamic loader, which is in the middle of
// something when it allocates.
bool may_start_from(std::uint64_t from);

// Where the kernel put argc, argv and the environment, one after the other; null when the loader does not say. The main
// thread's stack ends there, with only strings above.
const void* initial_stack();

}  // namespace leakwatch::preload
