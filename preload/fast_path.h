// SPDX-License-Identifier: Apache-2.0
//
// All that malloc, free and malloc_usable_size read of ours while there is nothing to record, besides what is the
// thread's: one cache line, as the program's own data wants the rest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

struct alignas(64) FastPath {
  // Where they go on, so that they need not look at the gate (hook_gate.h), nor at the bootstrap arena: the next
  // functions while the gate is open and the arena unused, and otherwise functions that look first.
  std::atomic<void* (*)(std::size_t)> malloc;
  std::atomic<void (*)(void*)> free;
  std::atomic<std::size_t (*)(void*)> usable_size;
  // One element per hash of an address (sampled_set.h): not zero means "its free must be looked at". All zero without
  // a session, all ones in exact mode, and otherwise a counting filter over the sampled blocks.
  std::atomic<const std::uint8_t*> free_filter;
};
extern FastPath fast_path __attribute__((visibility("hidden")));

// For fast_path.free_filter without a session. Never written to, and so nearly all of it is the kernel's one page of
// zeroes.
extern std::uint8_t nothing_recorded[] __attribute__((visibility("hidden")));

}  // namespace leakwatch::preload
