// SPDX-License-Identifier: Apache-2.0
//
// Calls every function of LEAKWATCH_MALLOC_HOOKS, each allocating one from a site of its own, and refuses to end well
// when the list has a name that is not called here. Four blocks each; three are freed, by all the ways to free in turn.

#include "preload/hook_table.h"

#include <dlfcn.h>
#include <malloc.h>

#include <cerrno>
#include <cstdint>

#include "tests/targets/truth.h"

namespace {

#define AS_ENUMERATOR(name, result, parameters) kHook_##name,
enum Hook { LEAKWATCH_MALLOC_HOOKS(AS_ENUMERATOR) kHooks };
#define AS_NAME(name, result, parameters) #name,
constexpr const char* kNames[] = {LEAKWATCH_MALLOC_HOOKS(AS_NAME)};
bool called[kHooks];
#define CALL(name, ...) (called[kHook_##name] = true, name(__VA_ARGS__))

// Functions that this C library may lack; under leakwatch they are there.
template <class Function>
Function* global(Hook hook) {
  called[hook] = true;
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, kNames[hook]));
}

using Allocate = void*();

void release(void* block, int way) {
  auto* free_sized = global<void(void*, std::size_t)>(kHook_free_sized);
  auto* free_aligned_sized = global<void(void*, std::size_t, std::size_t)>(kHook_free_aligned_sized);
  auto* cfree = global<void(void*)>(kHook_cfree);
  if (way == 0 && free_sized != nullptr)
    free_sized(block, 256);
  else if (way == 1 && free_aligned_sized != nullptr)
    free_aligned_sized(block, 64, 256);
  else if (way == 2 && cfree != nullptr)
    cfree(block);
  else
    CALL(free, block);
}

}  // namespace

SITE void* by_malloc() {
  return CALL(malloc, 256);
}
SITE void* by_calloc() {
  return CALL(calloc, 4, 64);
}
SITE void* by_realloc() {
  return CALL(realloc, nullptr, 256);
}
SITE void* by_reallocarray() {
  return CALL(reallocarray, nullptr, 8, 32);
}
SITE void* by_aligned_alloc() {
  return CALL(aligned_alloc, 64, 256);
}
SITE void* by_memalign() {
  return CALL(memalign, 64, 256);
}
SITE void* by_valloc() {
  return CALL(valloc, 256);
}
SITE void* by_pvalloc() {
  return CALL(pvalloc, 256);
}
SITE void* by_posix_memalign() {
  void* block = nullptr;
  require(CALL(posix_memalign, &block, 64, 256) == 0, "posix_memalign");
  return block;
}
SITE void* by_wrong_posix_memalign() {
  void* block = nullptr;
  require(posix_memalign(&block, 3, 256) == EINVAL, "posix_memalign of alignment 3");
  return block;
}

namespace {

// `frees`: an allocator that lacks pvalloc would be handed the C library's block, with or without us.
void exercise(const char* name, Allocate* allocate, std::size_t alignment, bool frees = true) {
  Truth truth;
  for (int i = 0; i < 4; ++i) {
    void* block = allocate();
    require(block != nullptr && reinterpret_cast<std::uintptr_t>(block) % alignment == 0, name);
    truth.allocated(256);
    if (frees) require(CALL(malloc_usable_size, block) >= 256, "malloc_usable_size");
    std::memset(block, i, 256);
    if (!frees || i == 3) continue;
    release(block, i);
    truth.freed(256);
  }
  tell(name, truth);
}

}  // namespace

int main() {
  exercise("by_malloc", by_malloc, 16);
  exercise("by_calloc", by_calloc, 16);
  exercise("by_realloc", by_realloc, 16);
  exercise("by_reallocarray", by_reallocarray, 16);
  exercise("by_aligned_alloc", by_aligned_alloc, 64);
  exercise("by_memalign", by_memalign, 64);
  exercise("by_valloc", by_valloc, 4096);
  exercise("by_pvalloc", by_pvalloc, 4096, false);
  exercise("by_posix_memalign", by_posix_memalign, 64);
  require(by_wrong_posix_memalign() == nullptr, "a block from a failed posix_memalign");
  tell("by_wrong_posix_memalign", {});
  void* self = dlopen(nullptr, RTLD_NOW);
  require(self != nullptr && CALL(dlclose, self) == 0, "dlclose");
  CALL(free, nullptr);
  for (int i = 0; i < kHooks; ++i) require(called[i], kNames[i]);
}
