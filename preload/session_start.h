// SPDX-License-Identifier: Apache-2.0
//
// How a session begins, and how its memory goes away again: the pages that it lives on, its private tables, the shared
// memory. Usually it begins once, at the program's first call of a hook, because the environment names leakwatch; a
// process that is attached to begins one whenever it is asked to (attach.cc).
#pragma once

#include <cstdint>

#include "preload/session.h"

namespace leakwatch::preload {

// Opens the session that the environment names, at most once in a process; later calls return at once. The caller is
// marked busy. `from` is where the program called: nothing is started from inside the dynamic loader.
void start_session_once(std::uint64_t from);
bool session_start_is_over();
// This object was loaded into a program that ran already: the environment is not meant for it.
void forgo_session_start();

// What a process has us do at each fork and at the end of each thread; once.
void register_with_libc();

// All that a session needs but to be found. Takes `memory` over; null when there is no memory for it. One at a time.
Session* prepare_session(shared::Header* memory);

// From now on hooks find it. `joined`: the program ran already, and its threads have to notice.
void activate_session(Session& session, bool joined);

// Unmaps what sessions had that are over and that no hook is in. How many are left that one may be in.
std::uint32_t take_down_sessions();

}  // namespace leakwatch::preload
