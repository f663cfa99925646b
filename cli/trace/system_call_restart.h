// SPDX-License-Identifier: Apache-2.0
//
// What a program notices when a system call that it sleeps in is broken and made again from its beginning. Calls that
// the kernel takes up where they were need its help (restart_syscall), which a thread that was made to do something
// else in between does not have any more.
#pragma once

#include <array>
#include <cstdint>

namespace leakwatch {

enum class RestartEffect : std::uint8_t {
  kNone,            // as if it had never been broken
  kNoneIfRepaired,  // the same, but the kernel ends it with EINTR unless its result is changed first
  kBriefly,         // its time-out, at most a second, begins anew
  kProlonged,       // its time-out begins anew
  kUnknown,         // not known to sleep
};

// A call that a thread sleeps in: its number and its arguments.
RestartEffect restart_effect(std::int64_t call, const std::array<std::uint64_t, 6>& arguments);

// Whether the kernel can take it up where it was: a call that counts its time.
bool can_be_taken_up(std::int64_t call);

// It does so by restart_syscall(2), and that is the number which the registers have from then on. Where the call's own
// one is told by the code that made it.
struct CallNumberPlace {
  enum class Kind : std::uint8_t {
    kUnknown,
    kInCode,           // `value` is the number
    kOnStack,          // it is in memory, so many bytes above the stack pointer
    kCallersArgument,  // it is what the caller of the function that made the call has as its first argument in memory
  };
  Kind kind = Kind::kUnknown;
  std::uint32_t value = 0;
};

// A sleep of its own accord that no lock of an allocator or a loader causes: on descriptors, signals, children.
bool waits_for_events(std::int64_t call);

}  // namespace leakwatch
