// SPDX-License-Identifier: Apache-2.0
//
// Starting and ending the session. It starts at the program's first allocation, or in our constructor if there was
// none: constructors of libraries run before ours, and what they allocate counts too.

#include "preload/session.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include "preload/clock.h"
#include "preload/connect.h"
#include "preload/environment.h"
#include "preload/own_object.h"
#include "preload/private_memory.h"
#include "preload/system.h"
#include "preload/thread_end.h"

namespace leakwatch::preload {

namespace {

alignas(64) constexpr std::uint16_t kNothingRecorded[kFilterElements] = {};

std::atomic<std::uint32_t> started{0};  // 1: somebody is starting it, 2: that is over
std::atomic<std::uint32_t> next_id{1};
void count_fork() {
  if (Session* session = current_session()) session->header->forks.fetch_add(1, std::memory_order_relaxed);
}

// The page must be gone in children before anything is on it.
bool make_session_page() {
  const std::size_t bytes = (sizeof(SessionPage) + 4095) & ~std::size_t{4095};
  void* page = map_private(bytes);
  if (page == nullptr || system_call(SYS_madvise, as_argument(page), static_cast<long>(bytes), MADV_WIPEONFORK) != 0)
    return false;
  session_page = static_cast<SessionPage*>(page);
  return true;
}

const std::uint16_t* make_filter(bool exact) {
  auto* filter = static_cast<std::uint16_t*>(map_private(kFilterBytes));
  for (std::size_t i = 0; filter != nullptr && exact && i < kFilterElements; ++i) filter[i] = 1;
  return filter;
}

// glibc keeps the id in the thread's descriptor, at a place that has been the same since 2.4 on x86-64; it is only
// trusted where it holds the truth for this thread.
std::uint64_t find_thread_id_offset() {
  constexpr std::uint64_t kOffset = 0x2d0;
  const auto descriptor = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  return *reinterpret_cast<const std::uint32_t*>(descriptor + kOffset) == thread_id() ? kOffset : 0;
}

// What a thread gets that is created without attributes.
void read_thread_defaults(Session& session) {
  pthread_attr_t attributes;
  if (pthread_getattr_default_np(&attributes) != 0) return;
  pthread_attr_getstacksize(&attributes, &session.default_stack_bytes);
  pthread_attr_getguardsize(&attributes, &session.default_guard_bytes);
  pthread_attr_destroy(&attributes);
}

void copy_settings(Session& session, shared::Header* header) {
  char* base = reinterpret_cast<char*>(header);
  session.id = next_id.fetch_add(1, std::memory_order_relaxed);
  session.clock = static_cast<shared::Clock>(header->clock);
  session.exact = header->sample_interval == 1;
  session.max_depth = header->max_depth;
  session.ring_count = header->ring_count;
  session.ring_words = header->ring_words;
  session.sample_interval = header->sample_interval;
  session.seed = header->seed != 0 ? header->seed : monotonic_ns() ^ (std::uint64_t{thread_id()} << 32);
  session.header = header;
  session.rings = reinterpret_cast<shared::Ring*>(base + header->rings_offset);
  session.words = reinterpret_cast<std::uint64_t*>(base + header->words_offset);
}

bool prepare(Session& session, shared::Header* header) {
  copy_settings(session, header);
  const std::size_t scratch_words = std::size_t{session.ring_count} * (session.max_depth + 1);
  session.scratch = static_cast<std::uint64_t*>(reserve_private(scratch_words * sizeof(std::uint64_t)));
  auto* index = static_cast<std::uint64_t*>(reserve_private(StackTable::kIndexBytes));
  auto* rules = static_cast<FrameRules::Place*>(map_private(FrameRules::kTableBytes));
  auto* sampled = static_cast<std::uint64_t*>(map_private(SampledSet::kTableBytes));
  const std::uint16_t* filter = make_filter(session.exact);
  if (session.scratch == nullptr || index == nullptr || rules == nullptr || sampled == nullptr || filter == nullptr)
    return false;
  session.stacks.start(header, index);
  session.modules.start(header);
  session.frame_rules.start(rules, &session.modules);
  session.sampled.start(sampled, const_cast<std::uint16_t*>(filter));
  free_filter.store(filter, std::memory_order_release);
  return true;
}

void start_session(const char* socket_path) {
  const Connection connection = connect_to_leakwatch(socket_path);
  if (static_cast<handshake::Answer>(connection.welcome.answer) == handshake::Answer::kIgnore) return;
  forget_environment();
  if (connection.memory == nullptr || !make_session_page()) return;
  Session& session = session_page->session;
  session.main_stack_end = reinterpret_cast<std::uintptr_t>(initial_stack());
  // The session starts before main, so on the main thread; a process that is joined later says which one that is.
  session.main_thread_pointer = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  read_thread_defaults(session);
  session.own_code = reinterpret_cast<std::uintptr_t>(__ehdr_start);
  session.own_code_bytes = reinterpret_cast<std::uintptr_t>(_end) - session.own_code;
  session.process_id = static_cast<std::uint32_t>(system_call(SYS_getpid));
  pthread_atfork(nullptr, count_fork, nullptr);
  session.thread_id_offset = find_thread_id_offset();
  make_thread_end_key();
  if (prepare(session, connection.memory)) session_page->active.store(&session, std::memory_order_release);
}

}  // namespace

SessionPage* session_page;
std::atomic<const std::uint16_t*> free_filter{kNothingRecorded};

bool session_start_is_over() {
  return started.load(std::memory_order_acquire) == 2;
}

void start_session_once(std::uint64_t from) {
  if (started.load(std::memory_order_acquire) != 0 || !may_start_from(from)) return;
  std::uint32_t nobody = 0;
  if (!started.compare_exchange_strong(nobody, 1, std::memory_order_acq_rel)) return;
  if (const char* socket_path = socket_from_environment()) start_session(socket_path);
  started.store(2, std::memory_order_release);
}

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

void Session::end(shared::End reason) {
  Session* self = this;
  if (!session_page->active.compare_exchange_strong(self, nullptr, std::memory_order_acq_rel)) return;
  free_filter.store(kNothingRecorded, std::memory_order_release);
  header->ended_ns.store(monotonic_ns(), std::memory_order_relaxed);
  header->ended.store(static_cast<std::uint32_t>(reason), std::memory_order_release);
}

}  // namespace leakwatch::preload
