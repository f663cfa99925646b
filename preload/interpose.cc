// SPDX-License-Identifier: Apache-2.0
//
// The exported functions: what the program calls instead of its allocator. Each is a few lines over the next function
// and the recorder, in an order that matters: an allocation is recorded after the real one, a free before it, so that
// no other thread can be handed the address in between. What was served before the next allocator was known comes from
// the bootstrap arena and stays there.

#include <cerrno>
#include <cstring>

#include "preload/bootstrap_arena.h"
#include "preload/fast_path.h"
#include "preload/interpose_table.h"
#include "preload/next.h"
#include "preload/recorder.h"

#define LEAKWATCH_EXPORT extern "C" __attribute__((visibility("default")))

using leakwatch::preload::allocate_early;
using leakwatch::preload::allocated;
using leakwatch::preload::bootstrap_arena;
using leakwatch::preload::BusyScope;
using leakwatch::preload::count_down;
using leakwatch::preload::fast_path;
using leakwatch::preload::free_is_recorded;
using leakwatch::preload::freeing;
using leakwatch::preload::next;
using leakwatch::preload::next_ready;
using leakwatch::preload::PassedOn;
using leakwatch::preload::record_realloc_failure;
using leakwatch::preload::record_realloc_free;
using leakwatch::preload::SessionHold;
using leakwatch::preload::thread_state;

namespace {

#define LEAKWATCH_HERE __builtin_frame_address(0)

// What `call`, a next function, does with `block` was or will be recorded by us.
template <class Call>
[[gnu::always_inline]] inline auto pass_on(const void* block, Call call) {
  const PassedOn scope(block);
  return call();
}

[[gnu::always_inline]] inline void* resize(void* block, std::size_t size, const void* hook_frame) {
  if (block == nullptr) {
    void* fresh = next_ready() ? pass_on(nullptr, [=] { return next.realloc(nullptr, size); }) : allocate_early(size);
    allocated(fresh, size, hook_frame);
    return fresh;
  }
  if (bootstrap_arena.owns(block)) [[unlikely]] {
    void* moved = next_ready() ? next.malloc(size) : allocate_early(size);
    if (moved == nullptr) return nullptr;
    const std::size_t old_size = bootstrap_arena.size_of(block);
    std::memcpy(moved, block, old_size < size ? old_size : size);
    allocated(moved, size, hook_frame);
    return moved;
  }
  if (!next_ready()) return nullptr;
  const bool recorded = free_is_recorded(block) && record_realloc_free(block);
  void* resized = pass_on(block, [=] { return next.realloc(block, size); });
  // No bytes wanted and nothing returned: the block was freed.
  if (resized != nullptr)
    allocated(resized, size, hook_frame);
  else if (recorded && size != 0)
    record_realloc_failure(block);
  return resized;
}

// A block goes back where it came from: to the arena (which keeps it), or to `real_free`.
template <class Free>
[[gnu::always_inline]] inline void release(void* block, Free real_free) {
  if (block == nullptr || bootstrap_arena.owns(block)) [[unlikely]]
    return;
  if (!next_ready()) return;
  freeing(block);
  real_free();
}

void advance_module_epoch() {
  const BusyScope busy(thread_state);
  if (const SessionHold session; session) session->modules.advance_epoch();
}

[[gnu::noinline]] void* malloc_slowly(std::size_t size) {
  if (!next_ready()) [[unlikely]]
    return allocate_early(size);
  void* block = next.malloc(size);
  allocated(block, size, LEAKWATCH_HERE);
  return block;
}

[[gnu::noinline]] void free_slowly(void* block) {
  release(block, [block] { next.free(block); });
}

}  // namespace

// malloc and free are what programs call all the time. Where there is nothing to record they leave by a jump, without a
// frame of their own, and so they do for the functions above, which then stand in their place (a test looks at the
// built object).
LEAKWATCH_EXPORT void* malloc(std::size_t size) {
  return count_down(size) ? fast_path.malloc.load(std::memory_order_relaxed)(size) : malloc_slowly(size);
}

LEAKWATCH_EXPORT void* calloc(std::size_t count, std::size_t size) {
  std::size_t bytes;
  const bool too_large = __builtin_mul_overflow(count, size, &bytes);
  if (!next_ready()) [[unlikely]]
    return too_large ? nullptr : allocate_early(bytes);
  void* block = pass_on(nullptr, [=] { return next.calloc(count, size); });
  allocated(block, bytes, LEAKWATCH_HERE);
  return block;
}

LEAKWATCH_EXPORT void* realloc(void* block, std::size_t size) {
  return resize(block, size, LEAKWATCH_HERE);
}

// Not passed on: the C library's would call realloc, and thus us, again.
LEAKWATCH_EXPORT void* reallocarray(void* block, std::size_t count, std::size_t size) {
  std::size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return resize(block, bytes, LEAKWATCH_HERE);
}

LEAKWATCH_EXPORT void free(void* block) {
  if (free_is_recorded(block)) [[unlikely]]
    free_slowly(block);
  else
    fast_path.free.load(std::memory_order_relaxed)(block);
}

// Gone from new C libraries, still called by old programs.
LEAKWATCH_EXPORT void cfree(void* block) {
  release(block, [block] { next.free(block); });
}

// From C23; where the C library does not have them, no program can have got their blocks from anywhere but malloc.
LEAKWATCH_EXPORT void free_sized(void* block, std::size_t size) {
  release(block, [=] { next.free_sized != nullptr ? next.free_sized(block, size) : next.free(block); });
}

LEAKWATCH_EXPORT void free_aligned_sized(void* block, std::size_t alignment, std::size_t size) {
  release(block, [=] {
    next.free_aligned_sized != nullptr ? next.free_aligned_sized(block, alignment, size) : next.free(block);
  });
}

LEAKWATCH_EXPORT int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  if (!next_ready()) [[unlikely]] {
    *block = allocate_early(size, alignment);
    return *block == nullptr ? ENOMEM : 0;
  }
  const int error = pass_on(nullptr, [=] { return next.posix_memalign(block, alignment, size); });
  if (error == 0) allocated(*block, size, LEAKWATCH_HERE);
  return error;
}

LEAKWATCH_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) {
  if (!next_ready()) [[unlikely]]
    return allocate_early(size, alignment);
  void* block = pass_on(nullptr, [=] { return next.aligned_alloc(alignment, size); });
  allocated(block, size, LEAKWATCH_HERE);
  return block;
}

LEAKWATCH_EXPORT void* memalign(std::size_t alignment, std::size_t size) {
  if (!next_ready()) [[unlikely]]
    return allocate_early(size, alignment);
  void* block = pass_on(nullptr, [=] { return next.memalign(alignment, size); });
  allocated(block, size, LEAKWATCH_HERE);
  return block;
}

LEAKWATCH_EXPORT void* valloc(std::size_t size) {
  if (!next_ready()) [[unlikely]]
    return allocate_early(size, 4096);
  void* block = pass_on(nullptr, [=] { return next.valloc(size); });
  allocated(block, size, LEAKWATCH_HERE);
  return block;
}

LEAKWATCH_EXPORT void* pvalloc(std::size_t size) {
  if (!next_ready()) [[unlikely]]
    return allocate_early((size + 4095) & ~std::size_t{4095}, 4096);
  void* block = pass_on(nullptr, [=] { return next.pvalloc(size); });
  allocated(block, size, LEAKWATCH_HERE);
  return block;
}

LEAKWATCH_EXPORT std::size_t malloc_usable_size(void* block) {
  return fast_path.usable_size.load(std::memory_order_relaxed)(block);
}

// The epoch moves before, so that stacks taken while the library's destructors run are not taken for later ones, and
// after, so that those of whatever comes to the same place are not taken for its.
LEAKWATCH_EXPORT int dlclose(void* handle) {
  if (!next_ready()) return -1;
  advance_module_epoch();
  const int result = next.dlclose(handle);
  advance_module_epoch();
  return result;
}

LEAKWATCH_MALLOC_HOOKS(LEAKWATCH_OWN_NAME)
