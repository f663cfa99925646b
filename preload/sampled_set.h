// SPDX-License-Identifier: Apache-2.0
//
// Which live addresses were sampled: private to the target, so that a free of any other block costs one load of the
// filter in front (fast_path.h) and, rarely, one probe here. Unused in exact mode.
//
// Open addressing over atomic words. Looking up takes no lock: a key never moves while it is in the table. Changes are
// rare (one per sample) and take a spin lock, held for a few instructions, which a caller tries for a bounded time
// only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

inline constexpr std::size_t kFilterElements = 32768;

// The element of the free filter that stands for an address. Of its lower half, as one multiplication with a constant
// that fits the instruction: every free goes through here. The factor is 2^13 and a half, so that blocks 16 bytes
// apart have elements next to each other, and what a program frees in one place stays in few cache lines; and so odd
// that those which lie far apart, each by the same number of bytes, are spread.
inline std::size_t filter_index(const void* block) {
  constexpr std::uint32_t kFactor = 0x2e11;
  return (static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(block)) * kFactor) >> 17;
}
static_assert(kFilterElements == std::size_t{1} << (32 - 17));

// An element that has counted so far stays there: its frees are looked at, though perhaps none is a sample's any more.
inline constexpr std::uint8_t kFilterFull = 255;

class SampledSet {
 public:
  static constexpr std::size_t kPlaces = std::size_t{1} << 18;
  static constexpr std::size_t kTableBytes = kPlaces * sizeof(std::uint64_t);

  // `table` is kTableBytes of zeroes, `filter` kFilterElements.
  void start(std::uint64_t* table, std::uint8_t* filter) {
    table_ = table;
    filter_ = filter;
  }

  // False when the set is full or its lock could not be had in time: then the block must not be recorded.
  bool insert(const void* block, bool nested);
  bool contains(const void* block) const;

  enum class Removal { kRemoved, kAbsent, kBusy };
  Removal remove(const void* block, bool nested);

  void after_fork_in_hook() { unlock(); }  // see session.h

 private:
  bool lock(bool nested);
  void unlock();
  void count(const void* block, int change);
  std::size_t place_of(std::uint64_t key) const;  // kPlaces when absent

  std::uint64_t* table_;
  std::uint8_t* filter_;
  std::atomic<std::uint32_t> locked_;
  std::size_t used_;
};

}  // namespace leakwatch::preload
