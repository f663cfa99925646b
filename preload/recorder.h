// SPDX-License-Identifier: Apache-2.0
//
// What a hook does besides calling the next function. The inline parts decide whether anything has to be done at all: a
// subtraction for an allocation, one load for a free. The rest is in recorder.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/fast_path.h"
#include "preload/sampled_set.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace leakwatch::preload {

// `hook_frame` is __builtin_frame_address(0) of the exported function.
void record_allocation(void* block, std::size_t size, const void* hook_frame);
void record_free(void* block);

// The old block of a realloc: recorded as freed before the real call, and taken back if that fails. False when the
// block is not recorded, so that there is nothing to take back.
bool record_realloc_free(void* block);
void record_realloc_failure(void* block);

// True when an allocation of this size is no sample, and then it is counted. False, and not counted, when the slow path
// has to look: that is so of every allocation in exact mode, and of a thread's first one.
inline bool count_down(std::size_t size) {
  ThreadState& thread = thread_state;
  const std::uint64_t bytes = shared::sampled_bytes(size);
  if (thread.bytes_until_sample <= bytes) [[unlikely]]
    return false;
  thread.bytes_until_sample -= bytes;
  return true;
}

inline void allocated(void* block, std::size_t size, const void* hook_frame) {
  if (block != nullptr && !count_down(size)) [[unlikely]]
    record_allocation(block, size, hook_frame);
}

// While the next function works on our behalf, what it calls of the exported functions is its own affair: some
// allocators make calloc or realloc out of malloc and free. For a scope, the thread records no allocation, nor the free
// of `block`. Not around calls that may throw.
class PassedOn {
 public:
  explicit PassedOn(const void* block = nullptr) : bytes_until_sample_(state_.bytes_until_sample) {
    state_.bytes_until_sample = ThreadState::kPutAside;
    state_.passed_on = block;
  }
  ~PassedOn() {
    state_.bytes_until_sample = bytes_until_sample_;
    state_.passed_on = nullptr;
  }
  PassedOn(const PassedOn&) = delete;
  PassedOn& operator=(const PassedOn&) = delete;

 private:
  ThreadState& state_ = thread_state;
  const std::uint64_t bytes_until_sample_;
};

inline bool free_is_recorded(const void* block) {
  return fast_path.free_filter.load(std::memory_order_relaxed)[filter_index(block)] != 0;
}

inline void freeing(void* block) {
  if (free_is_recorded(block) && block != thread_state.passed_on) [[unlikely]]
    record_free(block);
}

}  // namespace leakwatch::preload
