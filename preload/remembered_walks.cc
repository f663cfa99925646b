// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/remembered_walks.h"

#include <cstring>

#include "preload/mapped_stack.h"
#include "preload/private_memory.h"

namespace leakwatch::preload {

namespace {

constexpr std::uint64_t kBranch = std::uint64_t{1} << 63;
constexpr int kMostBranches = 16;
constexpr std::size_t kProbes = 8;
constexpr std::uint32_t kOpenWords = 16384;  // 64 KiB
constexpr std::uint32_t kLayoutWords = RememberedWalks::kLayoutBytes / sizeof(std::uint32_t);

std::uint64_t load(std::uint64_t address) {
  std::uint64_t word;
  __builtin_memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
  return word;
}

std::uint64_t first_key(const CallSite& site, const StackExtent& extent) {
  return (site.pc + (extent.high - site.sp) * 0xa0761d6478bd642f) * 0xe7037ed1a0b428db;
}
std::uint64_t next_key(std::uint64_t key, std::uint64_t word) {
  return (key ^ word) * 0x8ebc6af09c88c6e3;
}

template <class Node>
Node& node_of(Node* nodes, std::uint64_t key) {
  return nodes[key >> 50];
}
static_assert(RememberedWalks::kNodes == std::size_t{1} << (64 - 50));

// False when somebody else's is there, or nobody's.
bool read_node(const RememberedWalks::Node& node, std::uint64_t key, std::uint64_t& content) {
  content = node.content.load(std::memory_order_acquire);
  return content != 0 && (node.check.load(std::memory_order_relaxed) ^ content) == key;
}
void write_node(RememberedWalks::Node& node, std::uint64_t key, std::uint64_t content) {
  node.content.store(content, std::memory_order_release);
  node.check.store(key ^ content, std::memory_order_release);
}

bool checks_hold(const WalkLayout& layout, const CallSite& site) {
  const WalkCheck* check = layout.first_check();
  for (const WalkCheck* end = check + layout.checks; check != end; ++check) {
    const std::uint64_t value = check->position == WalkCheck::kRegister ? site.rbp : load(site.sp + check->position);
    if (value - site.sp != static_cast<std::uint64_t>(std::int64_t{check->expected})) return false;
  }
  return true;
}

// What stands at the layout's places, with the pc that the walk began with. By groups, so that the loop has no rest.
Fingerprint fingerprint_on_stack(FingerprintSum sum, const WalkLayout& layout, const CallSite& site) {
  static_assert(WalkLayout::kGroup == 4);
  const auto word = [&site](std::uint16_t place) { return load(site.sp + std::uint64_t{place} * 8); };
  const std::uint16_t* place = layout.first_return();
  sum.add(site.pc, 0);
  for (std::uint32_t left = layout.groups; left != 0; --left, place += WalkLayout::kGroup) {
    sum.add(word(place[0]), word(place[1]));
    sum.add(word(place[2]), word(place[3]));
  }
  return sum.fingerprint();
}

// The same of what a walk has found there: `count` addresses, of which the first is the pc.
Fingerprint fingerprint_of(FingerprintSum sum, const WalkLayout& layout, const std::uint64_t* addresses,
                           std::uint32_t count) {
  const auto address = [=](std::uint32_t i) { return addresses[i < count ? i : count - 1]; };
  sum.add(addresses[0], 0);
  for (std::uint32_t i = 1; i <= layout.places(); i += 2) sum.add(address(i), address(i + 1));
  return sum.fingerprint();
}

// Where a walk that was cut would have ended, had its last word been 0: that word is in no stack.
bool is_end_changed(const WalkLayout& layout, const CallSite& site) {
  return layout.cut_place != 0 && load(site.sp + std::uint64_t{layout.cut_place - 1} * 8) == 0;
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

RememberedWalks::LayoutNumber RememberedWalks::choose(const CallSite& site, const StackExtent& extent) const {
  std::uint64_t key = first_key(site, extent);
  for (int i = 0; i <= kMostBranches; ++i) {
    std::uint64_t content;
    if (!read_node(node_of(nodes_, key), key, content)) return 0;
    if ((content & kBranch) == 0) return static_cast<LayoutNumber>(content);
    const std::uint64_t address = site.sp + (content & ~kBranch) * 8;
    if (!extent.holds(address)) return 0;
    key = next_key(key, load(address));
  }
  return 0;
}

std::uint64_t RememberedWalks::find(const CallSite& site, const StackExtent& extent, const ThreadState& thread,
                                    std::uint64_t epoch) const {
  if (nodes_ == nullptr || site.sp < thread.mapped_from || (site.sp & 7) != 0) return shared::kNoStack;
  const LayoutNumber number = choose(site, extent);
  if (number == 0) return shared::kNoStack;
  const WalkLayout& chosen = layout(number);
  if (chosen.end > extent.high - site.sp || !checks_hold(chosen, site) || is_end_changed(chosen, site))
    return shared::kNoStack;
  return known_.find(fingerprint_on_stack(FingerprintSum(*keys_, number, epoch), chosen, site));
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
    Node& node = node_of(nodes_, key);
    std::uint64_t content;
    const bool is_known = read_node(node, key, content);
    if (is_known && content == number) return;
    std::uint16_t place;
    if (!is_known) return write_node(node, key, number);
    if ((content & kBranch) == 0) {
      const bool parts = find_parting(layout(static_cast<LayoutNumber>(content)), layout(number), place);
      if (!parts || (kBranch | place) == last_branch) return write_node(node, key, number);
      content = kBranch | place;
      write_node(node, key, content);
    }
    const std::uint64_t address = site.sp + (content & ~kBranch) * 8;
    if (!extent.holds(address)) return;
    last_branch = content;
    key = next_key(key, load(address));
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
