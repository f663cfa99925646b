// SPDX-License-Identifier: Apache-2.0
//
// See the header. Other destructors may follow and free something: the thread then joins the session again, and the
// key's destructor runs again, as often as POSIX allows.

#include "preload/thread_end.h"

#include <pthread.h>

#include "preload/clock.h"
#include "preload/ring_writer.h"
#include "preload/watched_call.h"

namespace leakwatch::preload {

namespace {

pthread_key_t key;
bool have_key;

void write_end(Session& session, ThreadState& thread) {
  const std::uint64_t words[shared::kFreeWords] = {shared::event_word(shared::EventKind::kThreadEnd, thread.token),
                                                   time_stamp(session.clock)};
  if (!write_event(session, thread, words, shared::kFreeWaitNs)) session.end(shared::End::kReaderSlow);
  thread.token = 0;
}

void on_thread_end(void*) {
  const WatchedCall call(0);
  if (!call.is_watched()) return;
  ThreadState& thread = call.thread();
  if (thread.token != 0) write_end(call.session(), thread);
  release_ring(thread);
  thread.session = 0;
}

}  // namespace

void make_thread_end_key() {
  have_key = pthread_key_create(&key, on_thread_end) == 0;
}

void register_thread_end(const Session& session) {
  if (have_key) pthread_setspecific(key, &session);
}

}  // namespace leakwatch::preload
