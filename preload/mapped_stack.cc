// SPDX-License-Identifier: Apache-2.0
//
// See the header. The kernel says whether a page is there: a futex is waited for on it that never has the value
// expected, which every sandbox allows, as nap() in system.h does.

#include "preload/mapped_stack.h"

#include "preload/system.h"

namespace leakwatch::preload {

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostPages = 4096;
constexpr std::uint8_t kMostFailures = 8;
// Between the outermost frame of a thread and the end of its stack lie its thread-local variables.
constexpr std::uint64_t kFarFromEnd = std::uint64_t{1} << 20;

bool is_mapped(std::uint64_t page) {
  constexpr long kFault = -14;
  constexpr std::uint32_t kUnlikely = 0x9e3779b9;
  const timespec no_time{};
  return system_call(SYS_futex, static_cast<long>(page), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, kUnlikely,
                     as_argument(&no_time)) != kFault;
}

bool is_mapped_between(std::uint64_t sp, std::uint64_t known) {
  std::uint64_t page = sp & ~(kPage - 1);
  if (known <= page || known - page > kMostPages * kPage) return false;
  for (; page < known; page += kPage) {
    if (!is_mapped(page)) return false;
  }
  return true;
}

}  // namespace

bool extend_mapped_stack(ThreadState& thread, std::uint64_t sp, std::uint64_t end, std::uint64_t last_frame) {
  if (thread.foreign_stacks >= kMostFailures) return false;
  // Walks of coroutines mostly end where these begin: then the kernel need not be asked.
  if (last_frame != 0 && end - last_frame > kFarFromEnd) return false;
  const bool is_first = thread.mapped_from == ThreadState::kNothingMapped;
  if (is_mapped_between(sp, is_first ? end : thread.mapped_from)) {
    thread.mapped_from = sp;
    return true;
  }
  ++thread.foreign_stacks;
  return false;
}

}  // namespace leakwatch::preload
