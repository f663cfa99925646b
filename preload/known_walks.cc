// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/known_walks.h"

#include "preload/private_memory.h"

namespace leakwatch::preload {

namespace {

// Two threads that write to one place leave what is whole, or what matches nothing.
void write(KnownWalks::Place& place, const Fingerprint& walk, std::uint64_t stack) {
  place.stack.store(stack, std::memory_order_release);
  place.low.store(walk.low ^ stack, std::memory_order_release);
  place.high.store(walk.high, std::memory_order_release);
}

}  // namespace

void KnownWalks::add(const Fingerprint& walk, std::uint64_t stack) {
  if (find(walk) != shared::kNoStack) return;
  Place* last_set = nullptr;
  for (std::uint32_t table = 0; table < kTables && open(table); ++table) {
    last_set = set_in(table, walk);
    for (Place* place = last_set; place != last_set + kSetPlaces; ++place) {
      if (place->stack.load(std::memory_order_relaxed) != shared::kNoStack) continue;
      write(*place, walk, stack);
      return count(table);
    }
  }
  if (last_set != nullptr) write(last_set[walk.low % kSetPlaces], walk, stack);
}

void KnownWalks::count(std::uint32_t table) {
  const std::uint32_t walks = walks_[table].fetch_add(1, std::memory_order_relaxed) + 1;
  const std::uint32_t fullest = fullest_.load(std::memory_order_relaxed);
  if (walks > walks_[fullest].load(std::memory_order_relaxed)) fullest_.store(table, std::memory_order_relaxed);
}

// The kernel is asked once: a refusal takes as long as a permission, and would be asked for at every new walk.
bool KnownWalks::open(std::uint32_t table) {
  if (table >= open_tables_.load(std::memory_order_relaxed) && is_refused_.load(std::memory_order_relaxed))
    return false;
  const bool is_open = open_table(open_tables_, table, places_ + begin_of(table), size_of(table) * sizeof(Place));
  if (!is_open) is_refused_.store(true, std::memory_order_relaxed);
  return is_open;
}

}  // namespace leakwatch::preload
