// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/remembered_walks.h"

#include <cstring>

#include "preload/mapped_stack.h"
#include "preload/private_memory.h"

namespace leakwatch::preload {

namespace {

constexpr std::size_t kProbes = 8;
constexpr std::uint32_t kOpenWords = 16384;  // 64 KiB
constexpr std::uint32_t kLayoutWords = RememberedWalks::kLayoutBytes / sizeof(std::uint32_t);

void write_node(RememberedWalks::Node& node, std::uint64_t key, std::uint64_t content) {
  node.content.store(content, std::memory_order_release);
  node.check.store(key ^ content, std::memory_order_release);
}

// The same of what a walk has found there: `count` addresses, of which the first is the pc.
Fingerprint fingerprint_of(FingerprintSum sum, const WalkLayout& layout, const std::uint64_t* addresses,
                           std::uint32_t count) {
  const auto address = [=](std::uint32_t i) { return addresses[i < count ? i : count - 1]; };
  sum.add(addresses[0], 0);
  for (std::uint32_t i = 1; i <= layout.places(); i += 2) sum.add(address(i), address(i + 1));
  return sum.fingerprint();
}

std::uint64_t hash_layout(const std::uint32_t* words, std::size_t count) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, by words
  for (std::size_t i = 0; i < count; ++i) hash = (hash ^ words[i]) * 0x100000001b3;
  return hash ^ hash >> 32;
}

// The last place that both have in common: two walks that came so far on the same way parted by what stood there.
// False when there is none, or nothing that parts them.
bool find_parting(const WalkLayout& a, const WalkLayout& b, std::uint16_t& place) {
  const std::uint32_t most = a.places() < b.places() ? a.places() : b.places();
  std::uint32_t same = 0;
  while (same < most && a.first_return()[same] == b.first_return()[same]) ++same;
  if (same == 0) return false;
  place = a.first_return()[same - 1];
  return true;
}

}  // namespace

void RememberedWalks::start(void* memory, const void* secret) {
  nodes_ = static_cast<Node*>(memory);
  index_ = reinterpret_cast<std::uint32_t*>(nodes_ + kNodes);
  keys_ = reinterpret_cast<FingerprintKeys*>(index_ + kIndexPlaces);
  keys_->draw(secret);
  char* reserved = static_cast<char*>(memory) + kTableBytes;
  known_.start(reserved);
  layouts_ = reinterpret_cast<std::uint32_t*>(reserved + KnownWalks::kMemoryBytes);
  used_.store(1, std::memory_order_relaxed);
}

void RememberedWalks::remember(const CallSite& site, const StackExtent& extent, ThreadState& thread,
                               std::uint64_t epoch, const FoundStack& found) {
  if (nodes_ == nullptr || !found.record.is_repeatable() || found.id == shared::kNoStack) return;
  if (site.sp < thread.mapped_from && !extend_mapped_stack(thread, site.sp, extent.high, found.record.last_frame()))
    return;
  const LayoutNumber number = find_or_add(found.record);
  if (number == 0) return;
  const FingerprintSum sum(*keys_, number, epoch);
  known_.add(fingerprint_of(sum, layout(number), found.addresses, 1 + found.record.returns_in_stack()), found.id);
  put(site, extent, number);
}

// Where another layout stands, its node becomes a branch, and ours goes below; the other one comes back when its walk
// is next remembered.
void RememberedWalks::put(const CallSite& site, const StackExtent& extent, LayoutNumber number) {
  std::uint64_t key = first_key(site, extent);
  std::uint64_t last_branch = 0;
  for (int i = 0; i < kMostBranches; ++i) {
    Node& node = node_of(key);
    std::uint64_t content = read_node(node, key);
    if (content == number) return;
    if (content == 0) return write_node(node, key, number);
    std::uint16_t place;
    if ((content & kBranch) == 0) {
      const bool parts = find_parting(layout(static_cast<LayoutNumber>(content)), layout(number), place);
      if (!parts || (kBranch | place) == last_branch) return write_node(node, key, number);
      content = kBranch | place;
      write_node(node, key, content);
    }
    const std::uint64_t offset = (content & ~kBranch) * 8;
    if (!extent.holds(site.sp + offset)) return;
    last_branch = content;
    key = next_key(key, stack_word(site, offset));
  }
}

RememberedWalks::LayoutNumber RememberedWalks::find_or_add(const WalkRecord& record) {
  const auto words = static_cast<std::uint32_t>(record.layout_bytes() / sizeof(std::uint32_t));
  std::uint32_t number = used_.load(std::memory_order_relaxed);
  do {
    if (number + words > kLayoutWords) return 0;
  } while (!used_.compare_exchange_weak(number, number + words, std::memory_order_acquire, std::memory_order_relaxed));
  if (!open_layouts_until(number + words)) return 0;
  record.write(reinterpret_cast<WalkLayout*>(layouts_ + number));
  const std::size_t home = hash_layout(layouts_ + number, words) & (kIndexPlaces - 1) & ~(kProbes - 1);
  for (std::size_t i = home; i < home + kProbes; ++i) {
    std::atomic_ref<std::uint32_t> place(index_[i]);
    std::uint32_t known = place.load(std::memory_order_acquire);
    if (known == 0 && place.compare_exchange_strong(known, number, std::memory_order_acq_rel)) return number;
    if (layout(known).bytes() != words * sizeof(std::uint32_t) ||
        std::memcmp(layouts_ + known, layouts_ + number, words * sizeof(std::uint32_t)) != 0)
      continue;
    // Known already: the room goes back, unless somebody has taken some behind it.
    std::uint32_t end = number + words;
    used_.compare_exchange_strong(end, number, std::memory_order_acq_rel);
    return known;
  }
  return number;
}

bool RememberedWalks::open_layouts_until(std::uint32_t end) {
  std::uint32_t open = open_.load(std::memory_order_acquire);
  while (open < end) {
    const std::uint32_t wanted = (end + kOpenWords - 1) / kOpenWords * kOpenWords;
    if (!open_pages(layouts_ + open, (wanted - open) * sizeof(std::uint32_t))) return false;
    if (open_.compare_exchange_strong(open, wanted, std::memory_order_acq_rel)) return true;
  }
  return true;
}

}  // namespace leakwatch::preload
