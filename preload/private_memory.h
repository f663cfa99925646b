// SPDX-License-Identifier: Apache-2.0
//
// Zeroed memory of our own, straight from the kernel: never from an allocator, and nothing is touched until it is used.
#pragma once

#include <cstddef>

#include <sys/mman.h>

#include "preload/system.h"

namespace leakwatch::preload {

inline bool is_error(long address) {
  return address < 0 && address > -4096;
}

// Null on failure.
inline void* map_private(std::size_t bytes) {
  const long address = system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return is_error(address) ? nullptr : reinterpret_cast<void*>(address);
}

}  // namespace leakwatch::preload
