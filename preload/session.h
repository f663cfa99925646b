// SPDX-License-Identifier: Apache-2.0
//
// The session of this process: the shared memory it writes to, and what it needs privately to do so.
//
// Hooks find it by way of a page that the kernel wipes in every child (MADV_WIPEONFORK), and the shared memory is not
// inherited at all (MADV_DONTFORK): however a child was made, it finds "no session" and can never write into its
// parent's rings. Nobody calls getpid for that. A hook that had found it before, and that a child goes on with since a
// signal handler forked, finds the object as it was, and memory that nobody reads.
//
// A process that is attached to and detached from has one session after the other. The memory of one is taken down when
// no hook can be in it any more: hooks hold the session (SessionHold) for as long as they look at it.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/frame_rules.h"
#include "preload/modules.h"
#include "preload/remembered_walks.h"
#include "preload/sampled_set.h"
#include "preload/stack_table.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

struct SessionPage;

// Room for one walk.
struct Scratch {
  std::uint64_t* addresses;
  void* record;
};

struct Session {
  std::uint32_t id;  // unique within the process's life and its children's, never one of HookGate's
  SessionPage* page;
  shared::Clock clock;
  bool exact;
  bool steered;  // the sampling interval may change
  std::uint32_t max_depth;
  std::uint32_t ring_count;
  std::uint64_t ring_words;
  std::uint64_t sample_interval;
  std::uint64_t seed;
  std::atomic<std::uint64_t> joins;  // of threads
  shared::Header* header;
  std::uint64_t shared_bytes;  // of the mapping
  shared::Ring* rings;
  std::uint64_t* words;    // of all rings
  std::uint64_t* scratch;  // private: scratch_words() for each ring
  std::atomic<std::uint32_t> shared_ring_locked;
  std::atomic<std::uint64_t> open_rings[shared::kMostRings / 64];  // a bit for each: its pages may be written to
  std::uint64_t main_stack_end;
  std::atomic<std::uint64_t> main_thread_pointer;  // 0 until the main thread has joined
  std::uint64_t own_code;                          // where this object lies: its frames do not belong to the program
  std::uint64_t own_code_bytes;
  std::uint32_t process_id;
  std::uint64_t thread_id_offset;  // of the thread id in glibc's thread descriptor, 0 when it was not found there
  std::size_t default_stack_bytes;
  std::size_t default_guard_bytes;
  FrameRules frame_rules;
  StackTable stacks;
  RememberedWalks walks;
  Modules modules;
  SampledSet sampled;
  const std::uint8_t* filter;  // what fast_path.free_filter is during the session
  void* private_memory;        // of all tables above
  std::size_t private_bytes;

  bool is_own_code(std::uint64_t pc) const { return pc - own_code < own_code_bytes; }
  std::uint64_t index_of(const shared::Ring& ring) const { return static_cast<std::uint64_t>(&ring - rings); }
  std::uint64_t* words_of(const shared::Ring& ring) { return words + index_of(ring) * ring_words; }
  Scratch scratch_of(const shared::Ring& ring) {
    std::uint64_t* addresses = scratch + index_of(ring) * scratch_words();
    return {addresses, addresses + max_depth + 1};
  }
  StackExtent stack_around(std::uint64_t sp) const;
  std::uint64_t scratch_words() const { return max_depth + 1 + WalkRecord::room_bytes(max_depth) / 8; }
  void wake_reader();
  // The rest of the process's life goes unwatched. Hooks in flight may still write: the memory stays mapped.
  void end(shared::End reason);
  // In a child that is to go on inside of an interrupted hook, and which nobody reads.
  void after_fork_in_hook();
};

// glibc puts a thread's descriptor, which the thread pointer names, at the top of the thread's stack; the main thread's
// stack ends where the loader found its arguments.
inline StackExtent Session::stack_around(std::uint64_t sp) const {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kLargestStack = std::uint64_t{1} << 30;
  const std::uint64_t thread_pointer = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  const bool is_main = thread_pointer == main_thread_pointer.load(std::memory_order_relaxed);
  const std::uint64_t end = is_main ? main_stack_end : thread_pointer;
  if (end - sp - 1 < kLargestStack) [[likely]]
    return {sp, end};
  return {sp, (sp | (kPage - 1)) + 1};
}

// Counts the hooks that may be looking at a session. Threads are spread over many counters, so that they do not wait
// for each other's cache lines. Even so it takes a good part of a hook's time: two locked instructions.
class Presence {
 public:
  void enter() { counter().fetch_add(1, std::memory_order_seq_cst); }
  void leave() { counter().fetch_sub(1, std::memory_order_release); }

  // To be asked when nobody can find the session any more: true once whoever had found it has left. Counters are looked
  // at one by one, as those who come later find nothing.
  bool is_over() const {
    for (const Counter& counter : counters_) {
      if (counter.inside.load(std::memory_order_seq_cst) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kCounters = 64;
  struct alignas(64) Counter {
    std::atomic<std::uint32_t> inside;
  };
  std::atomic<std::uint32_t>& counter() {
    const auto thread = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
    return counters_[(thread >> 8) * 0x9e3779b97f4a7c15 >> 58].inside;
  }
  Counter counters_[kCounters];
};

// Made once and never unmapped; a hook may look at it at any time.
struct SessionPage {
  static constexpr std::size_t kPage = 4096;

  // Wiped in children.
  std::atomic<Session*> active;  // null: none yet, ended, or a child that has none
  // Whether hooks count themselves here, so that the memory of a session can go. Only of sessions that came and will
  // leave while the program runs: the one that it began with keeps its memory to the end. Set before anybody finds the
  // page.
  bool is_counted;
  Presence presence;
  std::uint8_t* exact_filter;  // kFilterElements each; kept, since free reads them without holding the session
  std::uint8_t* sampled_filter;

  // Kept in children.
  alignas(kPage) Session session;
  SessionPage* previous;  // pages that were given up, as a hook may have stayed in them for ever
};
extern std::atomic<SessionPage*> session_page __attribute__((visibility("hidden")));

// For its scope, the session's memory stays. Null when there is no session.
class SessionHold {
 public:
  SessionHold() { take(session_page.load(std::memory_order_acquire)); }
  explicit SessionHold(SessionPage* page) { take(page); }
  ~SessionHold() { let_go(); }
  SessionHold(const SessionHold&) = delete;
  SessionHold& operator=(const SessionHold&) = delete;

  Session* get() const { return session_; }
  Session* operator->() const { return session_; }
  Session& operator*() const { return *session_; }
  explicit operator bool() const { return session_ != nullptr; }

  void look_again() {
    let_go();
    take(session_page.load(std::memory_order_acquire));
  }

 private:
  void take(SessionPage* page) {
    page_ = page;
    session_ = nullptr;
    if (page == nullptr) return;
    if (page->is_counted) page->presence.enter();
    session_ = page->active.load(std::memory_order_seq_cst);
  }
  void let_go() {
    if (page_ != nullptr && page_->is_counted) page_->presence.leave();
  }

  SessionPage* page_;
  Session* session_;
};

// The calling thread's id, without a system call where that is possible: a sandboxed program may not expect one.
std::uint32_t current_thread_id(const Session& session);

}  // namespace leakwatch::preload
