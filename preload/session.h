// SPDX-License-Identifier: Apache-2.0
//
// The session of this process: the shared memory it writes to, and what it needs privately to do so.
//
// The object lives on a page of its own that the kernel wipes in every child (MADV_WIPEONFORK), and the shared memory
// is not inherited at all (MADV_DONTFORK): however a child was made, it finds "no session" and can never write into its
// parent's rings. Nobody calls getpid for that.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/frame_rules.h"
#include "preload/modules.h"
#include "preload/sampled_set.h"
#include "preload/stack_table.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

struct Session {
  std::uint32_t id;  // unique within the process's life and its children's
  shared::Clock clock;
  bool exact;
  std::uint32_t max_depth;
  std::uint32_t ring_count;
  std::uint64_t ring_words;
  std::uint64_t sample_interval;
  std::uint64_t seed;
  std::atomic<std::uint64_t> joins;  // of threads
  shared::Header* header;
  shared::Ring* rings;
  std::uint64_t* words;    // of all rings
  std::uint64_t* scratch;  // private: max_depth + 1 words for each ring
  std::uint64_t main_stack_end;
  std::uint64_t main_thread_pointer;
  std::uint64_t own_code;  // where this object lies: its frames do not belong to the program
  std::uint64_t own_code_bytes;
  std::uint32_t process_id;
  std::uint64_t thread_id_offset;  // of the thread id in glibc's thread descriptor, 0 when it was not found there
  std::size_t default_stack_bytes;
  std::size_t default_guard_bytes;
  FrameRules frame_rules;
  StackTable stacks;
  Modules modules;
  SampledSet sampled;

  bool is_own_code(std::uint64_t pc) const { return pc - own_code < own_code_bytes; }
  std::uint64_t index_of(const shared::Ring& ring) const { return static_cast<std::uint64_t>(&ring - rings); }
  std::uint64_t* words_of(const shared::Ring& ring) { return words + index_of(ring) * ring_words; }
  std::uint64_t* scratch_of(const shared::Ring& ring) { return scratch + index_of(ring) * (max_depth + 1); }
  void wake_reader();
  // The rest of the process's life goes unwatched. Hooks in flight may still write: the memory stays mapped.
  void end(shared::End reason);
};

// The session, or null: none yet, ended, or a child that has none.
struct SessionPage {
  std::atomic<Session*> active;
  Session session;
};
extern SessionPage* session_page;

inline Session* current_session() {
  SessionPage* page = session_page;
  return page == nullptr ? nullptr : page->active.load(std::memory_order_acquire);
}

// One element per hash of an address: not zero means "its free must be looked at". All zero without a session, all ones
// in exact mode, and otherwise a counting filter over the sampled blocks. So the test in front of free is one load.
extern std::atomic<const std::uint16_t*> free_filter;

// Opens the session that the environment names, at most once in a process; later calls return at once. The caller is
// marked busy. `from` is where the program called: nothing is started from inside the dynamic loader.
void start_session_once(std::uint64_t from);
bool session_start_is_over();

// The calling thread's id, without a system call where that is possible: a sandboxed program may not expect one.
std::uint32_t current_thread_id(const Session& session);

}  // namespace leakwatch::preload
