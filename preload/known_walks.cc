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
  Place* table = places_;
  Place* last_set = nullptr;
  std::size_t size = kFirstTable;
  for (std::uint32_t t = 0; t < kTables && open(t, table, size); ++t, table += size, size *= 4) {
    last_set = table + set_of(walk, size);
    for (Place* place = last_set; place != last_set + kSetPlaces; ++place) {
      if (place->stack.load(std::memory_order_relaxed) == shared::kNoStack) return write(*place, walk, stack);
    }
  }
  if (last_set != nullptr) write(last_set[walk.low % kSetPlaces], walk, stack);
}

// The kernel is asked once: a refusal takes as long as a permission, and would be asked for at every new walk.
bool KnownWalks::open(std::uint32_t number, const Place* table, std::size_t size) {
  if (number >= open_tables_.load(std::memory_order_relaxed) && is_refused_.load(std::memory_order_relaxed))
    return false;
  const bool is_open = open_table(open_tables_, number, table, size * sizeof(Place));
  if (!is_open) is_refused_.store(true, std::memory_order_relaxed);
  return is_open;
}

}  // namespace leakwatch::preload
