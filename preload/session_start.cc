// SPDX-License-Identifier: Apache-2.0
//
// See the header. A session starts at the program's first allocation, or in our constructor if there was none:
// constructors of libraries run before ours, and what they allocate counts too.

#include "preload/session_start.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <cstddef>
#include <new>

#include "preload/clock.h"
#include "preload/connect.h"
#include "preload/environment.h"
#include "preload/fast_path.h"
#include "preload/fork_guard.h"
#include "preload/hook_gate.h"
#include "preload/own_object.h"
#include "preload/own_state.h"
#include "preload/private_memory.h"
#include "preload/system.h"
#include "preload/thread_end.h"
#include "preload/thread_state.h"
#include "preload/wake_page.h"

namespace leakwatch::preload {

namespace {

std::atomic<std::uint32_t> started{0};  // 1: somebody is starting it, 2: that is over
std::atomic<std::uint32_t> next_id{kFirstSession};
SessionPage* newest_page;  // all pages, by SessionPage::previous

void before_fork() {
  fork_guard.before_fork();
}
void after_fork_in_parent() {
  fork_guard.after_fork_in_parent();
  const BusyScope busy(thread_state);
  if (const SessionHold session; session) session->header->forks.fetch_add(1, std::memory_order_relaxed);
}

// A signal handler that interrupted a hook may fork, and the child return from it into the hook, which has found a
// session already, perhaps one that is over since. Not for every child: it is hundreds of mebibytes of addresses. Of
// _Fork, or the bare system call, nobody tells us.
void let_interrupted_hook_end() {
  if (!thread_state.busy) return;
  for (SessionPage* page = newest_page; page != nullptr; page = page->previous) {
    if (page->session.header != nullptr) page->session.after_fork_in_hook();
  }
}

void after_fork_in_child() {
  let_interrupted_hook_end();
  fork_guard.after_fork_in_child();
  wake_page.after_fork_in_child();
}

// Its first part must be gone in children before anything is on it.
SessionPage* make_page() {
  constexpr std::size_t kBytes = sizeof(SessionPage), kWiped = offsetof(SessionPage, session);
  static_assert(kBytes % SessionPage::kPage == 0 && kWiped % SessionPage::kPage == 0);
  void* page = map_private(kBytes);
  if (page == nullptr || system_call(SYS_madvise, as_argument(page), static_cast<long>(kWiped), MADV_WIPEONFORK) != 0) {
    unmap_private(page, kBytes);
    return nullptr;
  }
  auto* made = static_cast<SessionPage*>(page);
  made->previous = newest_page;
  return newest_page = made;
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
  session.clock = static_cast<shared::Clock>(header->clock);
  session.exact = header->sample_interval == 1;
  session.steered = header->steered != 0;
  session.max_depth = header->max_depth;
  session.ring_count = header->ring_count;
  session.ring_words = header->ring_words;
  session.sample_interval = header->sample_interval;
  session.seed = header->seed != 0 ? header->seed : monotonic_ns() ^ (std::uint64_t{thread_id()} << 32);
  session.header = header;
  session.shared_bytes = header->total_bytes;
  session.rings = reinterpret_cast<shared::Ring*>(base + header->rings_offset);
  session.words = reinterpret_cast<std::uint64_t*>(base + header->words_offset);
}

void describe_process(Session& session) {
  session.main_stack_end = reinterpret_cast<std::uintptr_t>(initial_stack());
  session.own_code = reinterpret_cast<std::uintptr_t>(__ehdr_start);
  session.own_code_bytes = reinterpret_cast<std::uintptr_t>(_end) - session.own_code;
  session.process_id = static_cast<std::uint32_t>(system_call(SYS_getpid));
  session.thread_id_offset = find_thread_id_offset();
  read_thread_defaults(session);
}

// One mapping: first what is opened piece by piece, then what is used all over.
bool map_tables(Session& session) {
  const std::size_t scratch = whole_pages(session.ring_count * session.scratch_words() * 8);
  constexpr std::size_t kIndex = whole_pages(StackTable::kIndexBytes), kRules = whole_pages(FrameRules::kTableBytes),
                        kSampled = whole_pages(SampledSet::kTableBytes), kKnown = whole_pages(Modules::kTableBytes);
  const std::size_t walks_bytes = session.exact ? whole_pages(RememberedWalks::kMemoryBytes) : 0;
  session.private_bytes = scratch + kIndex + walks_bytes + kRules + kSampled + kKnown;
  session.private_memory = reserve_private(session.private_bytes);
  if (session.private_memory == nullptr) return false;
  char* at = static_cast<char*>(session.private_memory);
  const auto next_table = [&at](std::size_t bytes) { return static_cast<void*>((at += bytes) - bytes); };
  session.scratch = static_cast<std::uint64_t*>(next_table(scratch));
  session.stacks.start(session.header, static_cast<std::uint64_t*>(next_table(kIndex)));
  void* walks = next_table(walks_bytes);
  const auto* secret = reinterpret_cast<const void*>(getauxval(AT_RANDOM));
  if (session.exact && secret != nullptr) {  // without, every walk is done
    if (!open_pages(walks, RememberedWalks::kTableBytes)) return false;
    session.walks.start(walks, secret);
  }
  if (!open_pages(at, kRules + kSampled + kKnown)) return false;
  session.frame_rules.start(static_cast<FrameRules::Place*>(next_table(kRules)), &session.modules);
  session.sampled.start(static_cast<std::uint64_t*>(next_table(kSampled)), session.page->sampled_filter);
  session.modules.start(session.header, static_cast<Modules::Known*>(next_table(kKnown)));
  return true;
}

// Kept for the next session on this page, as a free may be reading one at any time.
bool choose_filter(Session& session) {
  std::uint8_t*& filter = session.exact ? session.page->exact_filter : session.page->sampled_filter;
  const bool is_new = filter == nullptr;
  if (is_new) filter = static_cast<std::uint8_t*>(map_private(kFilterElements));
  if (filter == nullptr) return false;
  if (is_new && session.exact) {
    for (std::size_t i = 0; i < kFilterElements; ++i) filter[i] = 1;
  }
  if (!is_new && !session.exact)
    system_call(SYS_madvise, as_argument(filter), static_cast<long>(kFilterElements), MADV_DONTNEED);
  session.filter = filter;
  return true;
}

void take_down(Session& session) {
  unmap_private(session.private_memory, session.private_bytes);
  unmap_private(session.header, session.shared_bytes);
  session.private_memory = nullptr;
  session.header = nullptr;
}

bool is_over(const SessionPage& page) {
  return page.active.load(std::memory_order_seq_cst) == nullptr && page.presence.is_over();
}

// Not one that a child inherited, wiped: a hook may have found it there that did not count itself.
SessionPage* page_without_session() {
  take_down_sessions();
  for (SessionPage* page = newest_page; page != nullptr; page = page->previous) {
    if (page->is_counted && page->session.header == nullptr && is_over(*page)) return page;
  }
  return make_page();
}

void start_session(const char* socket_path) {
  const Connection connection = connect_to_leakwatch(socket_path);
  if (static_cast<handshake::Answer>(connection.welcome.answer) == handshake::Answer::kIgnore) return;
  forget_environment();
  if (connection.memory == nullptr) return;
  if (Session* session = prepare_session(connection.memory)) activate_session(*session, false);
}

}  // namespace

bool session_start_is_over() {
  return started.load(std::memory_order_acquire) == 2;
}

void forgo_session_start() {
  started.store(2, std::memory_order_release);
}

void start_session_once(std::uint64_t from) {
  if (started.load(std::memory_order_acquire) != 0 || !may_start_from(from)) return;
  std::uint32_t nobody = 0;
  if (!started.compare_exchange_strong(nobody, 1, std::memory_order_acq_rel)) return;
  if (const char* socket_path = socket_from_environment()) start_session(socket_path);
  started.store(2, std::memory_order_release);
}

// Neither can be undone.
void register_with_libc() {
  static bool is_done = false;
  if (is_done) return;
  is_done = true;
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  make_thread_end_key();
}

Session* prepare_session(shared::Header* memory) {
  SessionPage* page = page_without_session();
  if (page == nullptr) {
    unmap_private(memory, memory->total_bytes);
    return nullptr;
  }
  Session& session = *new (&page->session) Session{};
  session.id = next_id.fetch_add(1, std::memory_order_relaxed);
  session.page = page;
  copy_settings(session, memory);
  describe_process(session);
  register_with_libc();
  if (choose_filter(session) && map_tables(session)) return &session;
  take_down(session);
  return nullptr;
}

// Frees are looked at before the first allocation can be recorded, or one could be missed. The gate comes last: a
// thread that it sends on must find the session.
void activate_session(Session& session, bool joined) {
  attach::State& state = leakwatch_own_state;
  session.header->joined.store(joined ? 1 : 0, std::memory_order_relaxed);
  if (joined) session.header->frees_are_timed.store(1, std::memory_order_relaxed);
  session.page->is_counted |= joined;
  session_page.store(session.page, std::memory_order_release);
  fast_path.free_filter.store(session.filter, std::memory_order_release);
  state.process.store(session.process_id, std::memory_order_relaxed);
  state.session.store(session.id, std::memory_order_release);
  state.phase.store(static_cast<std::uint32_t>(attach::Phase::kAttached), std::memory_order_release);
  session.page->active.store(&session, std::memory_order_seq_cst);
  if (joined) close_hook_gate_for(session.id);
}

std::uint32_t take_down_sessions() {
  std::uint32_t left = 0;
  for (SessionPage* page = newest_page; page != nullptr; page = page->previous) {
    if (page->session.header == nullptr) continue;
    if (!page->is_counted) continue;
    if (is_over(*page))
      take_down(page->session);
    else if (page->active.load(std::memory_order_acquire) == nullptr)
      ++left;
  }
  return left;
}

}  // namespace leakwatch::preload
