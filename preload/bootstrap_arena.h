// SPDX-License-Identifier: Apache-2.0
//
// The first few allocations of a process, before the next allocator is known: dlsym, which finds it, calls calloc. A
// small static area, never given back; free, realloc and malloc_usable_size recognise its addresses for ever.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

class BootstrapArena {
 public:
  static constexpr std::size_t kBytes = std::size_t{64} * 1024;

  // Zeroed memory, or null when the arena is used up. `alignment` is a power of two.
  void* allocate(std::size_t size, std::size_t alignment = 16) {
    if (size > kBytes || alignment > kBytes) return nullptr;
    if (alignment < 16) alignment = 16;
    std::size_t begin = used_.load(std::memory_order_relaxed);
    std::size_t block, end;
    do {  // a word in front of each block keeps its size
      block =
          (reinterpret_cast<std::uintptr_t>(bytes_) + begin + sizeof(std::size_t) + alignment - 1) & ~(alignment - 1);
      end = block - reinterpret_cast<std::uintptr_t>(bytes_) + size;
      if (end > kBytes) return nullptr;
    } while (!used_.compare_exchange_weak(begin, end, std::memory_order_seq_cst));
    char* result = reinterpret_cast<char*>(block);
    __builtin_memcpy(result - sizeof size, &size, sizeof size);
    return result;
  }

  bool is_used() const { return used_.load(std::memory_order_seq_cst) != 0; }

  bool owns(const void* pointer) const {
    return reinterpret_cast<std::uintptr_t>(pointer) - reinterpret_cast<std::uintptr_t>(bytes_) < kBytes;
  }

  std::size_t size_of(const void* pointer) const {
    std::size_t size;
    __builtin_memcpy(&size, static_cast<const char*>(pointer) - sizeof size, sizeof size);
    return size;
  }

 private:
  std::atomic<std::size_t> used_{0};
  alignas(16) char bytes_[kBytes] = {};
};

extern BootstrapArena bootstrap_arena __attribute__((visibility("hidden")));

}  // namespace leakwatch::preload
