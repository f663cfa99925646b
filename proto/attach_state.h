// SPDX-License-Identifier: Apache-2.0
//
// What our object says about itself in a process that leakwatch joins while it runs: one exported data word block, read
// from outside by address (process_vm_readv), so that it says something even when nobody could connect.
//
// The object exports three names for this. Both functions are called on a thread of the target that is neither in its
// allocator nor in its loader; they keep errno and the signal mask, and return an Outcome.
//
//   leakwatch_attach(socket path)   starts a session; with a null path: looks at modules that were loaded meanwhile
//   leakwatch_detach()              ends the session, puts everything back; again: waits once more for hooks in flight
//   leakwatch_attach_state          a State
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::attach {

inline constexpr char kAttachFunction[] = "leakwatch_attach";
inline constexpr char kDetachFunction[] = "leakwatch_detach";
inline constexpr char kStateName[] = "leakwatch_attach_state";

inline constexpr std::uint64_t kMagic = 0x01'68'63'61'74'74'41'4c;  // "LAttach\1"
inline constexpr std::uint32_t kVersion = 1;

enum class Phase : std::uint32_t {
  kAsleep = 0,
  kAttaching = 1,
  kAttached = 2,  // see State::session: it may have ended since
  kDetaching = 3,
  kDetached = 4,
  kFailed = 5,  // the last attach did, State::outcome says why; nothing was left changed
};

enum class Outcome : std::uint32_t {
  kDone = 0,
  kBusy = 1,                   // another thread is attaching or detaching right now, or the program forks: try again
  kInsideHook = 2,             // the calling thread is inside one of our hooks
  kAlreadyWatched = 3,         // a session runs
  kNotAttached = 4,            // nothing to look at again, or to detach
  kOtherObject = 5,            // another copy of our object watches this process
  kNoAllocator = 6,            // no module defines malloc
  kAllocatorInExecutable = 7,  // the executable defines malloc itself: its own calls cannot be patched
  kNoConnection = 8,           // leakwatch could not be reached, or did not want this process
  kNoMemory = 9,               // the kernel gave no memory, or the shared memory could not be mapped
  kNothingPatched = 10,        // no module calls the allocator through a slot that could be changed
  kHooksInFlight = 11,         // detached; a thread may still be in a hook, so the session's memory stays for now
};

struct State {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t shared_memory_version = 0;
  std::atomic<std::uint32_t> phase{};            // Phase
  std::atomic<std::uint32_t> outcome{};          // Outcome of the last call
  std::atomic<std::uint32_t> is_preloaded{};     // 1: calls reach us by name, no slot has to be patched
  std::atomic<std::uint32_t> session{};          // number of the session that records, 0 for none
  std::atomic<std::uint32_t> process{};          // whose state this is: a child inherits it, and is not watched
  std::atomic<std::uint32_t> sessions_kept{};    // ended, their memory still mapped for hooks in flight
  std::atomic<std::uint64_t> calls{};            // of both functions that have returned, whatever their outcome
  std::atomic<std::uint64_t> last_call_ns{};     // how long the last one took
  std::atomic<std::uint64_t> attaches{};         // sessions begun by leakwatch_attach
  std::atomic<std::uint64_t> detaches{};         // and ended by leakwatch_detach
  std::atomic<std::uint32_t> slots_patched{};    // now
  std::atomic<std::uint32_t> slots_refused{};    // in the last look: found, and could not be changed
  std::atomic<std::uint32_t> modules_unready{};  // in the last look: still being loaded; look again
  std::uint32_t reserved = 0;
};
static_assert(sizeof(State) == 88);
static_assert(offsetof(State, phase) == 16 && offsetof(State, calls) == 40 && offsetof(State, slots_patched) == 72);

}  // namespace leakwatch::attach
