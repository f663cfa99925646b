// SPDX-License-Identifier: Apache-2.0
//
// The constructor of the object: starts the session if no allocation has done so before. In a program that ran already
// it does nothing: leakwatch_attach comes next.

#include "preload/attach.h"
#include "preload/complex_unwind.h"
#include "preload/next.h"
#include "preload/own_state.h"
#include "preload/session_start.h"
#include "preload/thread_state.h"

__attribute__((constructor)) static void start() {
  using namespace leakwatch::preload;
  if (!is_preloaded()) return forgo_session_start();
  leakwatch_own_state.is_preloaded.store(1);
  if (!next_ready() || thread_state.busy) return;
  const BusyScope busy(thread_state);
  start_session_once(0);
  // Here and not earlier: the first allocation may come while libraries are still being initialised.
  if (const SessionHold session; session) {
    thread_state.own_call = ThreadState::OwnCall::kMade;
    session->header->has_libunwind.store(open_libunwind() ? 1 : 2);
    thread_state.own_call = ThreadState::OwnCall::kNone;
  }
}
