// SPDX-License-Identifier: Apache-2.0
//
// The constructor of the object: starts the session if no allocation has done so before.

#include "preload/complex_unwind.h"
#include "preload/next.h"
#include "preload/session.h"
#include "preload/thread_state.h"

__attribute__((constructor)) static void start() {
  using namespace leakwatch::preload;
  if (!next_ready() || thread_state.busy) return;
  const BusyScope busy(thread_state);
  start_session_once(0);
  // Here and not earlier: the first allocation may come while libraries are still being initialised.
  if (Session* session = current_session()) {
    thread_state.own_call = ThreadState::OwnCall::kMade;
    session->header->has_libunwind.store(open_libunwind() ? 1 : 2);
    thread_state.own_call = ThreadState::OwnCall::kNone;
  }
}
