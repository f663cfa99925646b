// SPDX-License-Identifier: Apache-2.0
//
// The constructor of the object: starts the session if no allocation has done so before, or lets the process sleep
// until somebody calls. In a program that ran already it does nothing: leakwatch_attach comes next.

#include "preload/attach.h"
#include "preload/complex_unwind.h"
#include "preload/environment.h"
#include "preload/next.h"
#include "preload/own_state.h"
#include "preload/session_start.h"
#include "preload/thread_state.h"
#include "preload/wake_page.h"

namespace leakwatch::preload {

namespace {

// It may allocate, and none of that is the program's.
bool find_libunwind() {
  thread_state.own_call = ThreadState::OwnCall::kMade;
  const bool is_found = open_libunwind();
  thread_state.own_call = ThreadState::OwnCall::kNone;
  return is_found;
}

// All that a later start needs of the loader and of libc is done now: then it may come in the middle of anything, while
// other threads hold locks of theirs.
void fall_asleep() {
  if (socket_from_environment() != nullptr || !wake_page.open(answer_wake_call)) return;
  register_with_libc();
  find_libunwind();
  thread_state.bytes_until_sample = WakePage::kBytesBetweenLooks;  // the first look found nobody who could call
}

}  // namespace

}  // namespace leakwatch::preload

__attribute__((constructor)) static void start() {
  using namespace leakwatch::preload;
  if (!is_preloaded()) return forgo_session_start();
  leakwatch_own_state.is_preloaded.store(1);
  if (!next_ready() || thread_state.busy) return;
  const BusyScope busy(thread_state);
  start_session_once(0);
  // Here and not earlier: the first allocation may come while libraries are still being initialised.
  if (const SessionHold session; session)
    session->header->has_libunwind.store(find_libunwind() ? 1 : 2);
  else
    fall_asleep();
}
