// SPDX-License-Identifier: Apache-2.0
//
// See the header. The words of an event are stored first and published by one store of the position.

#include "preload/ring_writer.h"

#include "preload/bounded_lock.h"
#include "preload/clock.h"
#include "preload/private_memory.h"
#include "preload/system.h"

namespace leakwatch::preload {

namespace {

constexpr std::uint64_t kNapNs = 1'000'000;
constexpr int kSpins = 200;
// A heartbeat that is old when we look is given so long to beat: leakwatch and we may have been stopped together
// (Ctrl-Z), or go by clocks that differ (time namespaces).
constexpr std::uint64_t kGraceNs = shared::kHeartbeatNs + 50'000'000;
static_assert(kGraceNs < shared::kAllocationWaitNs);

bool has_room(const Session& session, const shared::Ring& ring, std::uint64_t end, std::uint64_t& room_until) {
  room_until = ring.read_position.load(std::memory_order_acquire) + session.ring_words;
  return static_cast<std::int64_t>(room_until - end) >= 0;
}

// Or the session has ended already: whoever takes it down waits for us.
bool reader_has_left(Session& session) {
  if (session.header->ended.load(std::memory_order_relaxed) != 0) return true;
  if (session.header->reader_left.load(std::memory_order_relaxed) == 0) return false;
  session.end(shared::End::kReaderLeft);
  return true;
}

bool wait_for_room(Session& session, const shared::Ring& ring, std::uint64_t end, std::uint64_t wait_ns,
                   std::uint64_t& room_until) {
  for (int i = 0; i < kSpins; ++i) {
    if (has_room(session, ring, end, room_until)) return true;
    __builtin_ia32_pause();
  }
  shared::Header& header = *session.header;
  const std::uint64_t began = monotonic_ns(), first_beat = header.heartbeat_ns.load(std::memory_order_relaxed);
  const auto is_in_vain = [&] {
    const std::uint64_t waited = monotonic_ns() - began;
    if (waited >= wait_ns || reader_has_left(session)) return true;
    const bool may_beat = waited < kGraceNs || header.heartbeat_ns.load(std::memory_order_relaxed) != first_beat;
    return !may_beat && reader_is_gone(session);
  };
  bool room = false;
  header.writers_waiting.fetch_add(1, std::memory_order_seq_cst);
  while (!(room = has_room(session, ring, end, room_until)) && !is_in_vain()) {
    const std::uint32_t progress = header.progress.load(std::memory_order_seq_cst);
    session.wake_reader();
    if (!has_room(session, ring, end, room_until)) futex_wait(&header.progress, progress, kNapNs);
  }
  header.writers_waiting.fetch_sub(1, std::memory_order_seq_cst);
  return room;
}

// The reader is looked at when an event reaches another quarter of the ring: woken if it sleeps while half of the ring
// or more is full, so before three quarters are. If it has said good-bye this was the last event.
std::uint64_t quarter_end(const Session& session, std::uint64_t position) {
  return (position | (session.ring_words / 4 - 1)) + 1;
}

// Sets the position up to which the same thread may write without us. False when there was no room in time.
bool write(Session& session, shared::Ring& ring, std::uint64_t& quiet_until, const std::uint64_t* words,
           std::uint32_t count, std::uint64_t wait_ns) {
  const std::uint64_t position = ring.write_position.load(std::memory_order_relaxed);
  const std::uint64_t end = position + count;
  std::uint64_t room_until;
  if (!has_room(session, ring, end, room_until) && !wait_for_room(session, ring, end, wait_ns, room_until))
    return false;
  const std::uint64_t mask = session.ring_words - 1;
  std::uint64_t* base = session.words_of(ring);
  for (std::uint32_t i = 0; i < count; ++i) base[(position + i) & mask] = words[i];
  ring.write_position.store(end, std::memory_order_release);
  if (end >= quarter_end(session, position)) {
    if (static_cast<std::int64_t>(room_until - end) <= static_cast<std::int64_t>(session.ring_words / 2))
      session.wake_reader();
    if (session.header->reader_left.load(std::memory_order_relaxed) != 0) session.end(shared::End::kReaderLeft);
  }
  const std::uint64_t last_quiet = quarter_end(session, end) - 1;
  quiet_until = static_cast<std::int64_t>(room_until - last_quiet) < 0 ? room_until : last_quiet;
  return true;
}

bool write_shared(Session& session, const std::uint64_t* words, std::uint32_t count, std::uint64_t wait_ns) {
  if (!take_lock(session.shared_ring_locked, wait_ns)) return false;
  std::uint64_t quiet_until;
  const bool written = write(session, session.rings[0], quiet_until, words, count, wait_ns);
  give_lock_back(session.shared_ring_locked);
  return written;
}

// Not again for each thread that has the ring: to open pages takes the lock of the whole address space, which threads
// that come and go want all the time.
bool open_ring(Session& session, const shared::Ring& ring) {
  const std::uint64_t number = session.index_of(ring), bit = std::uint64_t{1} << number % 64;
  std::atomic<std::uint64_t>& rings = session.open_rings[number / 64];
  if ((rings.load(std::memory_order_acquire) & bit) != 0) return true;
  if (!open_pages(session.words_of(ring), session.ring_words * 8) ||
      !open_pages(session.scratch_of(ring).addresses, session.scratch_words() * 8))
    return false;
  rings.fetch_or(bit, std::memory_order_release);
  return true;
}

}  // namespace

// A heartbeat that stopped ends the session: nobody will ever make room.
bool reader_is_gone(Session& session) {
  if (reader_has_left(session)) return true;
  const std::uint64_t beat = session.header->heartbeat_ns.load(std::memory_order_relaxed);
  const std::uint64_t now = monotonic_ns();
  if (now < beat || now - beat < shared::kStaleNs) return false;
  session.end(shared::End::kReaderStale);
  return true;
}

void claim_ring(Session& session, ThreadState& thread) {
  const std::uint32_t self = current_thread_id(session);
  for (std::uint32_t i = 1; i < session.ring_count; ++i) {
    shared::Ring& ring = session.rings[i];
    std::uint32_t nobody = 0;
    if (ring.owner.load(std::memory_order_relaxed) != 0 ||
        !ring.owner.compare_exchange_strong(nobody, self, std::memory_order_acq_rel))
      continue;
    std::uint32_t used = session.header->rings_used.load(std::memory_order_relaxed);
    while (used < i + 1 && !session.header->rings_used.compare_exchange_weak(used, i + 1, std::memory_order_acq_rel)) {
    }
    if (!open_ring(session, ring)) {
      ring.owner.store(0, std::memory_order_release);
      return;
    }
    thread.ring = &ring;
    ring.sole_writer = 0;
    // The first event looks for itself.
    thread.quiet_until = ring.write_position.load(std::memory_order_relaxed);
    return;
  }
}

void release_ring(ThreadState& thread) {
  if (thread.ring != nullptr) thread.ring->owner.store(0, std::memory_order_release);
  thread.ring = nullptr;
}

bool write_event_slowly(Session& session, ThreadState& thread, const std::uint64_t* words, std::uint32_t count,
                        std::uint64_t wait_ns) {
  if (thread.ring == nullptr) return write_shared(session, words, count, wait_ns);
  return write(session, *thread.ring, thread.quiet_until, words, count, wait_ns);
}

bool write_nested_event(Session& session, const std::uint64_t* words, std::uint32_t count) {
  return write_shared(session, words, count, 0);
}

}  // namespace leakwatch::preload
