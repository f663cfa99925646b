// SPDX-License-Identifier: Apache-2.0
//
// See the header. A removed key leaves a tombstone, which becomes empty again when nothing lies behind it.

#include "preload/sampled_set.h"

#include "preload/bounded_lock.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

namespace {

constexpr std::uint64_t kEmpty = 0;
constexpr std::uint64_t kTombstone = 1;

std::size_t home_of(std::uint64_t key) {
  return (key * 0x9e3779b97f4a7c15) >> 46;
}
static_assert(SampledSet::kPlaces == std::size_t{1} << (64 - 46));

std::atomic_ref<std::uint64_t> at(std::uint64_t* table, std::size_t place) {
  return std::atomic_ref<std::uint64_t>(table[place & (SampledSet::kPlaces - 1)]);
}

}  // namespace

// A nested caller may have interrupted the holder on this very thread, so it only tries for a moment.
bool SampledSet::lock(bool nested) {
  return take_lock(locked_, nested ? 0 : shared::kAllocationWaitNs);
}

void SampledSet::unlock() {
  give_lock_back(locked_);
}

// Under the lock.
void SampledSet::count(const void* block, int change) {
  const std::atomic_ref<std::uint8_t> element(filter_[filter_index(block)]);
  const std::uint8_t before = element.load(std::memory_order_relaxed);
  if (before != kFilterFull) element.store(static_cast<std::uint8_t>(before + change), std::memory_order_release);
}

std::size_t SampledSet::place_of(std::uint64_t key) const {
  for (std::size_t place = home_of(key), i = 0; i < kPlaces; ++i, ++place) {
    const std::uint64_t word = at(table_, place).load(std::memory_order_acquire);
    if (word == key) return place & (kPlaces - 1);
    if (word == kEmpty) break;
  }
  return kPlaces;
}

bool SampledSet::contains(const void* block) const {
  return place_of(reinterpret_cast<std::uintptr_t>(block)) != kPlaces;
}

bool SampledSet::insert(const void* block, bool nested) {
  const std::uint64_t key = reinterpret_cast<std::uintptr_t>(block);
  if (!lock(nested)) return false;
  const bool room = used_ < kPlaces * 7 / 8;
  if (room) {
    std::size_t place = home_of(key);
    while (at(table_, place).load(std::memory_order_relaxed) > kTombstone) ++place;
    if (at(table_, place).load(std::memory_order_relaxed) == kEmpty) ++used_;
    at(table_, place).store(key, std::memory_order_release);
    count(block, 1);
  }
  unlock();
  return room;
}

SampledSet::Removal SampledSet::remove(const void* block, bool nested) {
  const std::uint64_t key = reinterpret_cast<std::uintptr_t>(block);
  std::size_t place = place_of(key);
  if (place == kPlaces) return Removal::kAbsent;
  if (!lock(nested)) return Removal::kBusy;
  at(table_, place).store(kTombstone, std::memory_order_release);
  while (at(table_, place).load(std::memory_order_relaxed) == kTombstone &&
         at(table_, place + 1).load(std::memory_order_relaxed) == kEmpty) {
    at(table_, place).store(kEmpty, std::memory_order_release);
    --used_;
    --place;  // wraps: at() masks
  }
  count(block, -1);
  unlock();
  return Removal::kRemoved;
}

}  // namespace leakwatch::preload
