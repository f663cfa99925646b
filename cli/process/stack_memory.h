// SPDX-License-Identifier: Apache-2.0
//
// How much of a thread's stack is in memory, read from outside: /proc/PID/pagemap has a word for each page. Nothing is
// stopped. For a thousand stacks it takes as long as the kernel's summary of all mappings (smaps, about 6 ms), which
// for a process with a large heap takes seconds.
//
// glibc keeps a thread's handle, its pthread_t, in the uppermost page of its stack and makes both in one mapping. So
// the handle leads to the stack, also to that of a thread that has ended. The uppermost page belongs to the stack's
// size, the guard below does not.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "cli/base/descriptor.h"
#include "symbolize/process_maps.h"

namespace leakwatch {

struct StackRange {
  std::uint64_t start = 0;
  std::uint64_t limit = 0;  // behind its last byte
  std::uint64_t size() const { return limit - start; }
  friend bool operator==(const StackRange&, const StackRange&) = default;
};

// Of the thread with the handle, for which `stack_bytes` were reserved. Neighbours can share a mapping, so it is cut to
// that size. Empty when there is no such mapping, or no handle.
StackRange stack_range(const std::vector<MemoryMapping>& mappings, std::uint64_t handle, std::uint64_t stack_bytes);

// Of the main thread, as far as it has grown; empty when it has none.
StackRange main_stack_range(const std::vector<MemoryMapping>& mappings);

class StackMemory {
 public:
  // 256 GiB in pages of 4 KiB, or 32,000 stacks of the usual size: a fifth of a second.
  static constexpr std::uint64_t kMostPages = std::uint64_t{1} << 26;

  // The process as it is now. `most_pages`: that are looked at in all.
  explicit StackMemory(pid_t pid, std::uint64_t most_pages = kMostPages);

  const std::vector<MemoryMapping>& mappings() const { return mappings_; }

  // 0 also when that is not permitted (it takes the same permission as tracing) or too much was asked for: whatever the
  // ledger was told, a look has an end.
  std::uint64_t resident_bytes(StackRange range);

 private:
  std::vector<MemoryMapping> mappings_;
  Descriptor pages_;
  std::uint64_t page_bytes_;
  std::uint64_t pages_left_;
};

}  // namespace leakwatch
