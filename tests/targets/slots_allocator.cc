// SPDX-License-Identifier: Apache-2.0
//
// An allocator of fixed slots without any lock, so that even a signal handler may call it: what then goes wrong in
// signals.cc is ours. Also a stand-in for "the program brings its own allocator as a library". With NESTED, calloc and
// realloc are made of the exported malloc and free, and thus reach our hooks from inside.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr std::size_t kSlotBytes = 512, kSlots = 16384, kLargeBytes = std::size_t{64} << 20;
alignas(64) char slots[kSlots][kSlotBytes];
std::atomic<bool> taken[kSlots];
std::atomic<std::size_t> next_slot;
alignas(64) char large[kLargeBytes];  // never given back
std::atomic<std::size_t> large_used;

void* take(std::size_t size) {
  if (size > kLargeBytes / 2) return errno = ENOMEM, nullptr;
  if (size > kSlotBytes) {
    const std::size_t bytes = (size + 127) & ~std::size_t{63};
    const std::size_t at = large_used.fetch_add(bytes);
    if (at + bytes > kLargeBytes) return errno = ENOMEM, nullptr;
    std::memcpy(large + at, &size, sizeof size);
    return large + at + 64;
  }
  for (std::size_t i = 0; i < kSlots; ++i) {
    const std::size_t slot = next_slot.fetch_add(1, std::memory_order_relaxed) % kSlots;
    if (!taken[slot].exchange(true)) return slots[slot];
  }
  return errno = ENOMEM, nullptr;
}

void give(void* block) {
  const auto offset = static_cast<std::size_t>(static_cast<char*>(block) - slots[0]);
  if (offset < sizeof slots) taken[offset / kSlotBytes].store(false);
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) {
  return take(size);
}
void free(void* block) {
  give(block);
}
#ifdef NESTED
#define take malloc
#define give free
#endif

std::size_t malloc_usable_size(void* block) {
  const auto offset = static_cast<std::size_t>(static_cast<char*>(block) - slots[0]);
  std::size_t size = kSlotBytes;
  if (block != nullptr && offset >= sizeof slots) std::memcpy(&size, static_cast<char*>(block) - 64, sizeof size);
  return block == nullptr ? 0 : size;
}

void* calloc(std::size_t count, std::size_t size) {
  std::size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return errno = ENOMEM, nullptr;
  void* block = take(bytes);
  return block == nullptr ? nullptr : std::memset(block, 0, bytes);
}

void* realloc(void* block, std::size_t size) {
  void* moved = take(size);
  if (moved == nullptr || block == nullptr) return moved;
  const std::size_t old_size = malloc_usable_size(block);
  std::memcpy(moved, block, old_size < size ? old_size : size);
  give(block);
  return moved;
}
}
