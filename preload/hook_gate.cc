// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/hook_gate.h"

#include "preload/bootstrap_arena.h"
#include "preload/fast_path.h"
#include "preload/next.h"
#include "preload/recorder.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

namespace {

// The block is counted already. A thread that the gate has just sent into a session finds its count-down at zero.
void* malloc_past_gate(std::size_t size) {
  if (!next_ready()) return allocate_early(size);
  void* block = next.malloc(size);
  if (block != nullptr && thread_state.bytes_until_sample == 0) [[unlikely]]
    record_allocation(block, size, __builtin_frame_address(0));
  return block;
}

void free_past_gate(void* block) {
  if (!bootstrap_arena.owns(block) && next_ready()) next.free(block);
}

std::size_t usable_size_past_gate(void* block) {
  if (block == nullptr) return 0;
  if (bootstrap_arena.owns(block)) return bootstrap_arena.size_of(block);
  return next_ready() ? next.malloc_usable_size(block) : 0;
}

// Again when something has changed meanwhile: whoever comes last then leaves what belongs to the last state.
void set_short_cuts() {
  std::uint32_t gate;
  bool has_arena;
  do {
    gate = hook_gate.load(std::memory_order_seq_cst);
    has_arena = bootstrap_arena.is_used();
    fast_path.malloc.store(gate == kOpen ? next.malloc : malloc_past_gate, std::memory_order_seq_cst);
    const bool must_look = gate == kClosed || has_arena;
    fast_path.free.store(must_look ? free_past_gate : next.free, std::memory_order_seq_cst);
    fast_path.usable_size.store(must_look ? usable_size_past_gate : next.malloc_usable_size, std::memory_order_seq_cst);
  } while (gate != hook_gate.load(std::memory_order_seq_cst) || has_arena != bootstrap_arena.is_used());
}

}  // namespace

constinit std::atomic<std::uint32_t> hook_gate{kClosed};
constinit FastPath fast_path{malloc_past_gate, free_past_gate, usable_size_past_gate, nothing_recorded};

void* allocate_early(std::size_t size, std::size_t alignment) {
  void* block = bootstrap_arena.allocate(size, alignment);
  set_short_cuts();
  return block;
}

bool pass_hook_gate() {
  const std::uint32_t gate = hook_gate.load(std::memory_order_acquire);
  if (gate == kClosed) return find_next_functions();
  ThreadState& thread = thread_state;
  // While the next function works on our behalf the count-down is put aside, and comes back as it was.
  if (gate != kOpen && thread.session != gate && thread.bytes_until_sample <= ThreadState::kNever)
    thread.bytes_until_sample = 0;
  return true;
}

void open_hook_gate() {
  std::uint32_t closed = kClosed;
  hook_gate.compare_exchange_strong(closed, kOpen, std::memory_order_seq_cst);
  set_short_cuts();
}

void close_hook_gate_for(std::uint32_t session) {
  hook_gate.store(session, std::memory_order_seq_cst);
  set_short_cuts();
}

void open_hook_gate_of(std::uint32_t session) {
  if (hook_gate.compare_exchange_strong(session, kOpen, std::memory_order_seq_cst)) set_short_cuts();
}

}  // namespace leakwatch::preload
