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

struct LoadedStack {
  std::uint32_t depth;  // 0 when the walk would have ended where it was cut
  std::uint64_t hash;
};

// Of a walk that was cut: the last word is in no stack.
LoadedStack end_cut_stack(const WalkLayout& layout, const std::uint64_t* words, std::uint64_t epoch,
                          std::uint64_t* addresses, std::uint32_t done) {
  const std::uint16_t* places = layout.first_return();
  if (words[places[layout.returns]] == 0) return {0, 0};
  for (; done < layout.returns; ++done) addresses[done + 1] = words[places[done]];
  addresses[done + 1] = static_cast<std::uint64_t>(shared::Mark::kTruncated);
  return {done + 2, StackTable::hash_of(addresses, done + 2, epoch)};
}

// What stands at the layout's places, as a walk would write it. By pairs, as they are hashed and compared.
LoadedStack load_stack(const WalkLayout& layout, const CallSite& site, std::uint64_t epoch, std::uint64_t* addresses) {
  const std::uint16_t* places = layout.first_return();
  const auto* words = reinterpret_cast<const std::uint64_t*>(site.sp);
  const std::uint32_t returns = layout.returns;
  if (returns == 0) return {0, 0};
  StackHash hash;
  const auto add = [&hash](std::uint64_t* to, __m128i pair) {
    store_pair(to, pair);
    hash.add(pair);
  };
  add(addresses, pair_of(&site.pc, words + places[0]));
  std::uint32_t i = 1;
  for (; i + 1 < returns; i += 2) add(addresses + i + 1, pair_of(words + places[i], words + places[i + 1]));
  if (layout.is_cut != 0) [[unlikely]]
    return end_cut_stack(layout, words, epoch, addresses, i);
  if (i < returns) {
    addresses[i + 1] = words[places[i]];
    hash.add_last(addresses[i + 1]);
  }
  return {returns + 1, hash.finish(returns + 1, epoch)};
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

void RememberedWalks::start(void* memory, StackTable* stacks) {
  stacks_ = stacks;
  nodes_ = static_cast<Node*>(memory);
  index_ = reinterpret_cast<std::uint32_t*>(nodes_ + kNodes);
  layouts_ = index_ + kIndexPlaces;
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
                                    std::uint64_t epoch, std::uint64_t* addresses) const {
  if (nodes_ == nullptr || site.sp < thread.mapped_from || (site.sp & 7) != 0) return shared::kNoStack;
  const LayoutNumber number = choose(site, extent);
  if (number == 0) return shared::kNoStack;
  const WalkLayout& chosen = layout(number);
  if (chosen.end > extent.high - site.sp || !checks_hold(chosen, site)) return shared::kNoStack;
  const LoadedStack loaded = load_stack(chosen, site, epoch, addresses);
  if (loaded.depth == 0) return shared::kNoStack;
  const std::uint64_t stack = stacks_->find(addresses, loaded.depth, epoch, loaded.hash);
  return stack != shared::kNoStack && stacks_->layout_of(stack) == number ? stack : shared::kNoStack;
}

void RememberedWalks::remember(const CallSite& site, const StackExtent& extent, ThreadState& thread,
                               const WalkRecord& record, std::uint64_t stack) {
  if (nodes_ == nullptr || !record.is_repeatable() || stack == shared::kNoStack) return;
  if (site.sp < thread.mapped_from && !extend_mapped_stack(thread, site.sp, extent.high, record.last_frame())) return;
  const LayoutNumber number = find_or_add(record);
  if (number == 0) return;
  stacks_->set_layout(stack, number);
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
