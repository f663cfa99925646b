// SPDX-License-Identifier: Apache-2.0
//
// Where this object itself lies in memory, from symbols that the linker makes.
#pragma once

#include <cstdint>

extern "C" {
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));
}

namespace leakwatch::preload {

inline bool own_object_contains(std::uint64_t address) {
  return address - reinterpret_cast<std::uintptr_t>(__ehdr_start) <
         static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(_end) -
                                    reinterpret_cast<std::uintptr_t>(__ehdr_start));
}
inline bool own_object_contains(const void* address) {
  return own_object_contains(reinterpret_cast<std::uintptr_t>(address));
}

}  // namespace leakwatch::preload
