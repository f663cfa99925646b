// SPDX-License-Identifier: Apache-2.0
//
// The C++ operators, in the variant of the object for programs whose allocator brings its own (tcmalloc, jemalloc):
// those do not reach malloc, so we stand in front of them too. Whether they really do not is tried once; where they do,
// the call is passed on and seen at malloc. An exception from the next operator passes through: nothing is held here.

#include <cstdlib>

#include "preload/bootstrap_arena.h"
#include "preload/interpose_table.h"
#include "preload/next.h"
#include "preload/recorder.h"

#define LEAKWATCH_EXPORT extern "C" __attribute__((visibility("default")))

using leakwatch::preload::next;

namespace {

using namespace leakwatch::preload;

// Whether an operator new of the allocator reaches malloc or one of its kin. The plain and the aligned ones differ.
enum class Reach : std::uint8_t { kUnknown, kMalloc, kAllocatorOnly };
std::atomic<Reach> plain_reach{Reach::kUnknown}, aligned_reach{Reach::kUnknown};

// Allocates once and looks whether one of our other hooks was entered meanwhile.
template <class Allocate>
Reach try_out(Allocate allocate) {
  ThreadState& thread = thread_state;
  const std::uint64_t saved = thread.bytes_until_sample;
  const BusyScope busy(thread);
  thread.own_call = ThreadState::OwnCall::kMade;
  thread.bytes_until_sample = 0;
  void* block = allocate();
  const bool reached = thread.own_call == ThreadState::OwnCall::kReached;
  thread.own_call = ThreadState::OwnCall::kMade;
  next._ZdlPv(block);
  thread.own_call = ThreadState::OwnCall::kNone;
  thread.bytes_until_sample = saved;
  return reached ? Reach::kMalloc : Reach::kAllocatorOnly;
}

// False inside a hook or while the next functions are unknown: then the call is only passed on.
template <class Allocate>
bool is_recorded_here(std::atomic<Reach>& reach, Allocate allocate) {
  const Reach known = reach.load(std::memory_order_relaxed);
  if (known != Reach::kUnknown) [[likely]]
    return known == Reach::kAllocatorOnly;
  if (thread_state.busy || next._ZdlPv == nullptr) return false;
  reach.store(try_out(allocate), std::memory_order_relaxed);
  return reach.load(std::memory_order_relaxed) == Reach::kAllocatorOnly;
}

bool plain_is_recorded_here() {
  return next._Znwm != nullptr && is_recorded_here(plain_reach, [] { return next._Znwm(16); });
}

bool aligned_is_recorded_here() {
  return next._ZnwmSt11align_val_t != nullptr &&
         is_recorded_here(aligned_reach, [] { return next._ZnwmSt11align_val_t(64, 64); });
}

}  // namespace

// The plain call at the end of each is a jump: a frame of ours must not stay on the stack that malloc's hook will walk.
#define LEAKWATCH_NEW(kind, name, parameters, arguments)                      \
  LEAKWATCH_EXPORT void* name parameters {                                    \
    if (!leakwatch::preload::next_ready()) return malloc(size);               \
    if (kind##_is_recorded_here()) {                                          \
      void* block = next.name arguments;                                      \
      leakwatch::preload::allocated(block, size, __builtin_frame_address(0)); \
      return block;                                                           \
    }                                                                         \
    return next.name arguments;                                               \
  }

// The free is recorded here whatever the next operator calls: it is this block's only one.
#define LEAKWATCH_DELETE(name, parameters, arguments)                                                 \
  LEAKWATCH_EXPORT void name parameters {                                                             \
    if (!leakwatch::preload::next_ready() || leakwatch::preload::bootstrap_arena.owns(block)) return; \
    if (block != nullptr) leakwatch::preload::freeing(block);                                         \
    const leakwatch::preload::PassedOn scope(block);                                                  \
    next.name arguments;                                                                              \
  }

using Alignment = std::size_t;
using Tag = const void*;

LEAKWATCH_NEW(plain, _Znwm, (std::size_t size), (size))
LEAKWATCH_NEW(plain, _Znam, (std::size_t size), (size))
LEAKWATCH_NEW(plain, _ZnwmRKSt9nothrow_t, (std::size_t size, Tag tag), (size, tag))
LEAKWATCH_NEW(plain, _ZnamRKSt9nothrow_t, (std::size_t size, Tag tag), (size, tag))
LEAKWATCH_NEW(aligned, _ZnwmSt11align_val_t, (std::size_t size, Alignment alignment), (size, alignment))
LEAKWATCH_NEW(aligned, _ZnamSt11align_val_t, (std::size_t size, Alignment alignment), (size, alignment))
LEAKWATCH_NEW(aligned, _ZnwmSt11align_val_tRKSt9nothrow_t, (std::size_t size, Alignment alignment, Tag tag),
              (size, alignment, tag))
LEAKWATCH_NEW(aligned, _ZnamSt11align_val_tRKSt9nothrow_t, (std::size_t size, Alignment alignment, Tag tag),
              (size, alignment, tag))

LEAKWATCH_DELETE(_ZdlPv, (void* block), (block))
LEAKWATCH_DELETE(_ZdaPv, (void* block), (block))
LEAKWATCH_DELETE(_ZdlPvm, (void* block, std::size_t size), (block, size))
LEAKWATCH_DELETE(_ZdaPvm, (void* block, std::size_t size), (block, size))
LEAKWATCH_DELETE(_ZdlPvRKSt9nothrow_t, (void* block, Tag tag), (block, tag))
LEAKWATCH_DELETE(_ZdaPvRKSt9nothrow_t, (void* block, Tag tag), (block, tag))
LEAKWATCH_DELETE(_ZdlPvSt11align_val_t, (void* block, Alignment alignment), (block, alignment))
LEAKWATCH_DELETE(_ZdaPvSt11align_val_t, (void* block, Alignment alignment), (block, alignment))
LEAKWATCH_DELETE(_ZdlPvmSt11align_val_t, (void* block, std::size_t size, Alignment alignment), (block, size, alignment))
LEAKWATCH_DELETE(_ZdaPvmSt11align_val_t, (void* block, std::size_t size, Alignment alignment), (block, size, alignment))
LEAKWATCH_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void* block, Alignment alignment, Tag tag),
                 (block, alignment, tag))
LEAKWATCH_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void* block, Alignment alignment, Tag tag),
                 (block, alignment, tag))

LEAKWATCH_OPERATOR_HOOKS(LEAKWATCH_OWN_NAME)
