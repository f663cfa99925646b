// SPDX-License-Identifier: Apache-2.0
//
// The end of a thread, told by the destructor of a thread-specific key: it runs for a return, pthread_exit and a
// cancellation alike.
#pragma once

#include "preload/session.h"

namespace leakwatch::preload {

// Once, at the session's start.
void make_thread_end_key();

// Has the calling thread give its ring back when it ends, and say so if its creation was seen.
void register_thread_end(const Session& session);

}  // namespace leakwatch::preload
