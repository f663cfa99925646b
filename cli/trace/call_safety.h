// SPDX-License-Identifier: Apache-2.0
//
// Whether a thread, where it is now, may be made to call the loader and the allocator. It may not while it is inside of
// either, as it may hold their locks or have left their data half changed; nor in libc's functions that hold a lock
// which the loader takes too; nor in a signal handler, which may stand anywhere and on a small stack of its own. What
// cannot be told is taken for unsafe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cli/process/loaded_modules.h"
#include "symbolize/process_unwinder.h"

namespace leakwatch {

// Places in the libc of a process that a call needs.
struct LibcPlaces {
  std::uint64_t signal_return = 0;  // the code that returns from a signal handler; on ARM in the vDSO
  std::uint64_t sigprocmask = 0;
  std::uint64_t swab = 0;
  std::uint64_t errno_offset = 0;  // of errno from a thread's thread pointer
};

class CallSafety {
 public:
  explicit CallSafety(pid_t pid) : pid_(pid), modules_(pid) {}

  // Looks at the modules again. False when they cannot be read.
  bool refresh();

  const LoadedModules& modules() const { return modules_; }
  const std::optional<LibcPlaces>& libc() const { return libc_; }  // nothing when it is unlike any that we know

  // What speaks against a call from here, in words that go on "the thread"; empty when nothing does. `call`: the system
  // call that it sleeps in, -1 while it runs.
  std::string_view objection(const UnwoundStack& stack, std::int64_t call) const;

  // The same for the room below its stack pointer, of which `size` bytes will be written.
  std::string_view objection_to_stack(pid_t tid, std::uint64_t stack_pointer, std::uint64_t thread_pointer,
                                      std::size_t size) const;

  // Whether the thread would lose a restartable sequence (rseq(2)): the kernel would see it go on elsewhere, and let it
  // go on with what it must begin anew.
  bool is_in_sequence(std::uint64_t area, std::uint64_t pc) const;

 private:
  enum class Danger : std::uint8_t { kAlways, kUnlessAsleep };
  struct Range {
    std::uint64_t start = 0;
    std::uint64_t limit = 0;
    Danger danger = Danger::kAlways;
  };

  void read_libc(const LoadedModule& libc);
  void add_allocator(const std::vector<const LoadedSymbol*>& functions);
  bool is_dangerous(std::uint64_t address, bool is_asleep) const;
  std::string_view objection_to_frame(const UnwoundFrame& frame, bool is_asleep) const;

  pid_t pid_;
  LoadedModules modules_;
  std::uint64_t libc_start_ = 0;  // of which the following tell
  std::optional<LibcPlaces> libc_;
  std::vector<Range> dangers_;
};

}  // namespace leakwatch
