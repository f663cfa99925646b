// SPDX-License-Identifier: Apache-2.0
//
// Zeroed memory of our own, straight from the kernel: never from an allocator, and nothing is touched until it is used.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <sys/mman.h>

#include "preload/system.h"

namespace leakwatch::preload {

inline bool is_error(long address) {
  return address < 0 && address > -4096;
}

// A core dump has no use for our memory: most of it was never touched, and it would be written out all the same.
inline void leave_out_of_core_dumps(long address, std::size_t bytes) {
  system_call(SYS_madvise, address, static_cast<long>(bytes), MADV_DONTDUMP);
}

inline void* map_private(std::size_t bytes, int protection) {
  const long address = system_call(SYS_mmap, 0, static_cast<long>(bytes), protection,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (is_error(address)) return nullptr;
  leave_out_of_core_dumps(address, bytes);
  return reinterpret_cast<void*>(address);
}

// Null on failure.
inline void* map_private(std::size_t bytes) {
  return map_private(bytes, PROT_READ | PROT_WRITE);
}

// Where nothing may be mapped yet. False on failure.
inline bool map_private_at(void* begin, std::size_t bytes) {
  const long address = system_call(SYS_mmap, as_argument(begin), static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (is_error(address)) return false;
  leave_out_of_core_dumps(address, bytes);
  return true;
}

// Null and none are allowed.
inline void unmap_private(void* begin, std::size_t bytes) {
  if (begin != nullptr) system_call(SYS_munmap, as_argument(begin), static_cast<long>(bytes));
}

// Large areas are reserved without access and opened piece by piece, or a program that locks its memory (mlockall)
// would get all of it.
inline void* reserve_private(std::size_t bytes) {
  return map_private(bytes, PROT_NONE);
}

constexpr std::size_t whole_pages(std::size_t bytes) {
  return (bytes + 4095) & ~std::size_t{4095};
}

// Makes [begin, begin + bytes) accessible, to whole pages; again if it was already. False when the kernel refuses.
inline bool open_pages(const void* begin, std::size_t bytes) {
  constexpr std::uintptr_t kPageMask = 4095;
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(begin) & ~kPageMask;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(begin) + bytes + kPageMask) & ~kPageMask;
  return system_call(SYS_mprotect, static_cast<long>(first), static_cast<long>(end - first), PROT_READ | PROT_WRITE) ==
         0;
}

// Of a row of tables, of which the first `open` are: opens the one with the number if it is the next. Whoever comes
// first opens, and so may whoever comes at the same time: it does no harm twice.
inline bool open_table(std::atomic<std::uint32_t>& open, std::uint32_t number, const void* table, std::size_t bytes) {
  std::uint32_t before = open.load(std::memory_order_acquire);
  if (number < before) [[likely]]
    return true;
  if (!open_pages(table, bytes)) return false;
  open.compare_exchange_strong(before, number + 1, std::memory_order_acq_rel);
  return true;
}

}  // namespace leakwatch::preload
