// SPDX-License-Identifier: Apache-2.0
//
// What hooks need of a session that exists: whose thread this is, waking the reader, and ending it. How one begins is
// in session_start.cc.

#include "preload/session.h"

#include "preload/bounded_lock.h"
#include "preload/clock.h"
#include "preload/fast_path.h"
#include "preload/hook_gate.h"
#include "preload/own_state.h"
#include "preload/private_memory.h"
#include "preload/system.h"

namespace leakwatch::preload {

std::atomic<SessionPage*> session_page{nullptr};
alignas(64) std::uint8_t nothing_recorded[kFilterElements];

std::uint32_t current_thread_id(const Session& session) {
  if (session.thread_id_offset == 0) return thread_id();
  const auto descriptor = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  return *reinterpret_cast<const std::uint32_t*>(descriptor + session.thread_id_offset);
}

void Session::wake_reader() {
  if (header->reader_sleeps.load(std::memory_order_relaxed) == 0) return;
  header->reader_sleeps.store(0, std::memory_order_relaxed);
  futex_wake(&header->reader_sleeps, 1);
}

// Another session may begin at any time after the first line: what belongs to that one by then is not touched.
void Session::end(shared::End reason) {
  Session* self = this;
  if (!page->active.compare_exchange_strong(self, nullptr, std::memory_order_seq_cst)) return;
  const std::uint8_t* our_filter = filter;
  fast_path.free_filter.compare_exchange_strong(our_filter, nothing_recorded, std::memory_order_acq_rel);
  open_hook_gate_of(id);
  std::uint32_t our_number = id;
  leakwatch_own_state.session.compare_exchange_strong(our_number, 0, std::memory_order_acq_rel);
  header->ended_ns.store(monotonic_ns(), std::memory_order_relaxed);
  header->ended.store(static_cast<std::uint32_t>(reason), std::memory_order_release);
}

// Where the shared memory was comes memory of the child's own, all zero: so a reader that has been gone for long, who
// is not waited for, and areas without room. Locks may be held by threads that the child does not have; the interrupted
// hook may have one as well, but has nobody left to keep out.
void Session::after_fork_in_hook() {
  map_private_at(header, shared_bytes);
  give_lock_back(shared_ring_locked);
  sampled.after_fork_in_hook();
  modules.after_fork_in_hook();
}

}  // namespace leakwatch::preload
