// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/stack_table.h"

#include <algorithm>
#include <cstring>

#include "preload/private_memory.h"
#include "preload/stack_hash.h"

namespace leakwatch::preload {

namespace {

constexpr std::uint64_t kOpenWords = 1 << 17;  // a mebibyte

std::uint64_t hash_of(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch) {
  StackHash hash;
  std::uint32_t i = 0;
  for (; i + 1 < depth; i += 2) hash.add(load_pair(addresses + i));
  if (i < depth) hash.add_last(addresses[i]);
  return hash.finish(depth, epoch);
}

}  // namespace

void StackTable::start(shared::Header* header, std::uint64_t* index) {
  header_ = header;
  entries_ = reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(header) + header->stacks_offset);
  index_ = index;
}

std::uint64_t StackTable::find_or_add(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch) {
  const std::uint64_t hash = hash_of(addresses, depth, epoch);
  const std::uint64_t tag = hash & ~kOffsetMask;
  std::uint64_t id = shared::kNoStack;  // ours, once it is written
  std::size_t table_size = kFirstTable;
  std::uint64_t* table = index_;
  for (std::uint32_t t = 0; t < kTables; ++t, table += table_size, table_size *= 4) {
    if (!open_table(open_tables_, t, table, table_size * sizeof *table)) break;
    const std::size_t home = (hash & (table_size - 1)) & ~(kProbes - 1);
    for (std::size_t i = 0; i < kProbes; ++i) {
      std::atomic_ref<std::uint64_t> place(table[home + i]);
      std::uint64_t word = place.load(std::memory_order_acquire);
      if (word == 0) {
        if (id == shared::kNoStack && (id = add(addresses, depth, epoch)) == shared::kNoStack) return id;
        if (place.compare_exchange_strong(word, tag | id, std::memory_order_acq_rel)) return id;
      }
      if ((word & ~kOffsetMask) == tag && matches(word & kOffsetMask, addresses, depth, epoch))
        return word & kOffsetMask;
    }
  }
  header_->stacks_refused.fetch_add(1, std::memory_order_relaxed);
  return shared::kNoStack;
}

std::uint64_t StackTable::add(const std::uint64_t* addresses, std::uint32_t depth, std::uint64_t epoch) {
  const std::uint64_t words = shared::kStackHeaderWords + depth;
  const std::uint64_t limit = header_->stacks_words;
  std::uint64_t offset = header_->stacks_used.load(std::memory_order_relaxed);
  do {
    // Both numbers stand in memory that others may overwrite.
    if (offset > limit || words > limit - offset || offset + words > kOffsetMask) {
      header_->stacks_refused.fetch_add(1, std::memory_order_relaxed);
      return shared::kNoStack;
    }
  } while (!header_->stacks_used.compare_exchange_weak(offset, offset + words, std::memory_order_relaxed));
  if (!open_entries_until(offset + words)) return shared::kNoStack;
  std::uint64_t* entry = entries_ + offset;
  const shared::StackHeader head{depth, 0, epoch};
  __builtin_memcpy(entry, &head, sizeof head);
  for (std::uint32_t i = 0; i < depth; ++i) entry[shared::kStackHeaderWords + i] = addresses[i];
  return offset;
}

bool StackTable::matches(std::uint64_t id, const std::uint64_t* addresses, std::uint32_t depth,
                         std::uint64_t epoch) const {
  const std::uint64_t* entry = entries_ + id;
  const auto* head = reinterpret_cast<const shared::StackHeader*>(entry);
  return head->depth == depth && head->epoch == epoch &&
         (depth == 0 || std::memcmp(entry + shared::kStackHeaderWords, addresses, depth * sizeof(std::uint64_t)) == 0);
}

// Whoever comes first opens, and so may whoever comes at the same time: it does no harm twice.
bool StackTable::open_entries_until(std::uint64_t offset) {
  std::uint64_t open = open_entries_.load(std::memory_order_acquire);
  while (open < offset) {
    const std::uint64_t wanted = std::min(header_->stacks_words, (offset + kOpenWords - 1) / kOpenWords * kOpenWords);
    if (!open_pages(entries_ + open, (wanted - open) * sizeof(std::uint64_t))) return false;
    if (open_entries_.compare_exchange_strong(open, wanted, std::memory_order_acq_rel)) return true;
  }
  return true;
}

}  // namespace leakwatch::preload
