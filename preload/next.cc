// SPDX-License-Identifier: Apache-2.0
//
// Finds the next functions, once. dlsym may call calloc and, for a name that nobody has, malloc for its message: the
// thread that looks is marked busy, and its nested calls are served from the bootstrap arena. Names that no module
// defines are not asked for, so that the arena stays unused: every free would have to ask whether the block is its.

#include "preload/next.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "preload/bootstrap_arena.h"
#include "preload/loaded_module.h"
#include "preload/own_object.h"
#include "preload/system.h"

namespace leakwatch::preload {

BootstrapArena bootstrap_arena;
NextFunctions next;

namespace {

std::atomic<std::uint32_t> finder{0};  // thread id of whoever looks the functions up

// A name may lead back to ourselves when two copies of this object are loaded; calling that would never end.
void* find(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  return own_object_contains(found) ? nullptr : found;
}

#define LEAKWATCH_NAME(name, result, parameters) #name,
constexpr const char* kNames[] = {LEAKWATCH_ALL_HOOKS(LEAKWATCH_NAME)};
#undef LEAKWATCH_NAME
constexpr std::size_t kNameCount = sizeof kNames / sizeof *kNames;
constexpr std::size_t kMalloc = 0;
static_assert(std::string_view(kNames[kMalloc]) == "malloc");

struct Findable {
  bool names[kNameCount] = {};
};

int look_into(dl_phdr_info* info, std::size_t, void* argument) {
  const LoadedModule module(*info);
  if (module.contains(reinterpret_cast<std::uintptr_t>(&next))) return 0;
  auto& findable = *static_cast<Findable*>(argument);
  for (std::size_t i = 0; i < kNameCount; ++i) findable.names[i] = findable.names[i] || module.may_define(kNames[i]);
  return 0;
}

template <class Function>
void fill(Function*& slot, const char* name, bool is_findable) {
  slot = is_findable ? reinterpret_cast<Function*>(find(name)) : nullptr;
}

bool is_of_libc(const void* function) {
  dl_find_object found, libc;
  return function != nullptr && _dl_find_object(const_cast<void*>(function), &found) == 0 &&
         _dl_find_object(find("gnu_get_libc_version"), &libc) == 0 && found.dlfo_link_map == libc.dlfo_link_map;
}

// By libc's own dl_iterate_phdr alone: those that others put in front of it (the run-time library of ThreadSanitizer, a
// program that keeps a list of its own) cannot answer before they have begun. Then all names are asked for, and so they
// are if nobody seems to define malloc.
Findable look_around() {
  using Iterate = int(int (*)(dl_phdr_info*, std::size_t, void*), void*);
  Findable findable;
  void* iterate = find("dl_iterate_phdr");
  if (is_of_libc(iterate)) reinterpret_cast<Iterate*>(iterate)(look_into, &findable);
  if (!findable.names[kMalloc]) std::memset(findable.names, true, sizeof findable.names);
  return findable;
}

void find_all() {
  const Findable findable = look_around();
  const bool* is_findable = findable.names;
#define LEAKWATCH_FILL(name, result, parameters) fill(next.name, #name, *is_findable++);
  LEAKWATCH_ALL_HOOKS(LEAKWATCH_FILL)
#undef LEAKWATCH_FILL
}

}  // namespace

bool find_next_functions() {
  const std::uint32_t self = thread_id();
  std::uint32_t nobody = 0;
  if (finder.compare_exchange_strong(nobody, self, std::memory_order_acq_rel)) {
    find_all();
    open_hook_gate();
    return true;
  }
  if (nobody == self) return false;
  // Another thread is looking: it holds the loader's lock and never waits for us. A fork that caught it in the middle
  // is the one way never to see the end; the child then lives on the arena until it executes something.
  for (int i = 0; i < 100'000; ++i) {
    if (hook_gate.load(std::memory_order_acquire) != kClosed) return true;
    nap();
  }
  return false;
}

}  // namespace leakwatch::preload
