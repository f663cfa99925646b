// SPDX-License-Identifier: Apache-2.0
//
// Walks that need not be done again (exact mode). A true walk is a chain of dependent loads; where its words lie
// relative to sp hardly ever changes for one place of the program. So remember the layout (walk_layout.h); next time,
// load all of its words at once, and look their fingerprint up. If they are known as those of a walk with this very
// layout, then the stack is the one that it found.
//
// Why this is exact. A walk of N frames is a function of (pc, sp, rbp), of the rules (frame_rules.h, one for each pc as
// long as the epoch stays), and of the stack's words that it reads. Let a true walk have found the stack S with the
// layout L. Let now pc be S's first address, the words at L's places be the others, and L's checks hold. Then by
// induction from the leaf the walk would do what it did then: it is in frame i with the same pc, with sp as far above
// the first sp, and, where it counts from rbp, with rbp as far above it (that is what the checks say). So it takes the
// same rule, reads the words at the same places, and there stands, as compared, the same return address. It ends where
// it ended: the last pc has no caller, or the depth is reached. "Are the others" is compared by 128-bit fingerprints of
// L, the epoch and all of S, with keys that no program knows; walk_fingerprint.h says why that is as good as word for
// word. A word of S in a cache that is short of room costs more than the rest of the look-up.
//
// What a walk may depend on beside these words is not remembered: signal frames, frames that libunwind walked, frames
// of our own (S does not show them), stacks that end in code without rules or at the end of what is known to be stack.
//
// No load leaves the stack. L says how far up it reads, and it is only tried when the stack goes that far. Between sp
// and there everything is mapped, because the thread stands on its own stack: somewhere above the lowest sp from which
// all pages up to the thread's end were seen to be there (ThreadState::mapped_from). A coroutine's stack is not among
// those, and is walked.
//
// Which layout: under a hash of (pc, distance of sp from the stack's end) stands a layout, or, where more than one came
// by, the place of a return address that tells them apart: hash that too, and look again. A choice, never a proof.
//
// All of it is shared by the threads and bounded; nothing is written while walks are known.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/known_walks.h"
#include "preload/private_memory.h"
#include "preload/thread_state.h"
#include "preload/unwind.h"
#include "preload/walk_fingerprint.h"
#include "preload/walk_layout.h"

namespace leakwatch::preload {

// What a walk came to.
struct FoundStack {
  const WalkRecord& record;
  const std::uint64_t* addresses;
  std::uint64_t id;
};

class RememberedWalks {
 public:
  static constexpr std::size_t kNodes = 16384;
  static constexpr std::size_t kIndexPlaces = 16384;
  static constexpr std::size_t kLayoutBytes = std::size_t{4} << 20;
  struct Node {
    std::atomic<std::uint64_t> check;    // key ^ content: a torn pair does not match
    std::atomic<std::uint64_t> content;  // a layout's number, or kBranch and a place in words above sp
  };
  static constexpr std::size_t kTableBytes =
      whole_pages(kNodes * sizeof(Node) + kIndexPlaces * sizeof(std::uint32_t) + sizeof(FingerprintKeys));
  static constexpr std::size_t kMemoryBytes = kTableBytes + KnownWalks::kMemoryBytes + kLayoutBytes;

  // `memory` is kMemoryBytes of zeroes at the beginning of a page, of which the first kTableBytes are open; `secret`,
  // 16 random bytes.
  void start(void* memory, const void* secret);

  // The id of the stack that a walk from `site` would find, or shared::kNoStack when it has to be done.
  std::uint64_t find(const CallSite& site, const StackExtent& extent, const ThreadState& thread,
                     std::uint64_t epoch) const;

  // A walk from `site` found that.
  void remember(const CallSite& site, const StackExtent& extent, ThreadState& thread, std::uint64_t epoch,
                const FoundStack& found);

 private:
  using LayoutNumber = std::uint32_t;  // its place in layouts_; 0 is none
  static constexpr std::uint64_t kBranch = std::uint64_t{1} << 63;
  static constexpr int kMostBranches = 16;

  static std::uint64_t first_key(const CallSite& site, const StackExtent& extent) {
    return (site.pc + (extent.high - site.sp) * 0xa0761d6478bd642f) * 0xe7037ed1a0b428db;
  }
  static std::uint64_t next_key(std::uint64_t key, std::uint64_t word) { return (key ^ word) * 0x8ebc6af09c88c6e3; }
  Node& node_of(std::uint64_t key) const { return nodes_[key >> 50]; }
  static_assert(kNodes == std::size_t{1} << (64 - 50));
  // What is there, or 0 when it is somebody else's, or nobody's.
  static std::uint64_t read_node(const Node& node, std::uint64_t key) {
    const std::uint64_t content = node.content.load(std::memory_order_acquire);
    return (node.check.load(std::memory_order_relaxed) ^ content) == key ? content : 0;
  }

  const WalkLayout& layout(LayoutNumber number) const {
    return *reinterpret_cast<const WalkLayout*>(layouts_ + number);
  }
  LayoutNumber choose(const CallSite& site, const StackExtent& extent) const;
  void put(const CallSite& site, const StackExtent& extent, LayoutNumber number);
  LayoutNumber find_or_add(const WalkRecord& record);
  bool open_layouts_until(std::uint32_t end);

  Node* nodes_;             // null in sampled mode, where walks are rare
  std::uint32_t* layouts_;  // appended to, never changed
  FingerprintKeys* keys_;
  KnownWalks known_;
  std::uint32_t* index_;             // of equal layouts
  std::atomic<std::uint32_t> used_;  // words of layouts_
  std::atomic<std::uint32_t> open_;
};

// What follows runs for every allocation of exact mode.

// The word that lies `offset` bytes above the first sp.
inline std::uint64_t stack_word(const CallSite& site, std::uint64_t offset) {
  std::uint64_t word;
  __builtin_memcpy(&word, reinterpret_cast<const void*>(site.sp + offset), sizeof word);
  return word;
}

inline bool checks_hold(const WalkLayout& layout, const CallSite& site) {
  const WalkCheck* check = layout.first_check();
  for (const WalkCheck* end = check + layout.checks; check != end; ++check) {
    const std::uint64_t value = check->position == WalkCheck::kRegister ? site.rbp : stack_word(site, check->position);
    if (value - site.sp != static_cast<std::uint64_t>(std::int64_t{check->expected})) return false;
  }
  return true;
}

// Where a walk that was cut would have ended, had its last word been 0: that word is in no stack.
inline bool is_end_changed(const WalkLayout& layout, const CallSite& site) {
  return layout.cut_place != 0 && stack_word(site, std::uint64_t{layout.cut_place - 1} * 8) == 0;
}

// Of what stands at the layout's places, with the pc that the walk began with. By groups, so that the loop has no rest.
[[gnu::always_inline]] inline Fingerprint fingerprint_on_stack(FingerprintSum sum, const WalkLayout& layout,
                                                               const CallSite& site) {
  static_assert(WalkLayout::kGroup == 4);
  const auto word = [&site](std::uint16_t place) { return stack_word(site, std::uint64_t{place} * 8); };
  sum.add(site.pc, 0);
  const std::uint16_t* place = layout.first_return();
  const std::uint16_t* end = place + layout.places();
  do {
    sum.add(word(place[0]), word(place[1]));
    sum.add(word(place[2]), word(place[3]));
    place += WalkLayout::kGroup;
  } while (place != end);
  return sum.fingerprint();
}

[[gnu::always_inline]] inline RememberedWalks::LayoutNumber RememberedWalks::choose(const CallSite& site,
                                                                                    const StackExtent& extent) const {
  std::uint64_t key = first_key(site, extent);
  for (int i = 0; i <= kMostBranches; ++i) {
    const std::uint64_t content = read_node(node_of(key), key);
    if ((content & kBranch) == 0) [[likely]]
      return static_cast<LayoutNumber>(content);
    const std::uint64_t offset = (content & ~kBranch) * 8;
    if (!extent.holds(site.sp + offset)) return 0;
    key = next_key(key, stack_word(site, offset));
  }
  return 0;
}

[[gnu::always_inline]] inline std::uint64_t RememberedWalks::find(const CallSite& site, const StackExtent& extent,
                                                                  const ThreadState& thread,
                                                                  std::uint64_t epoch) const {
  if (nodes_ == nullptr || site.sp < thread.mapped_from || (site.sp & 7) != 0) return shared::kNoStack;
  const LayoutNumber number = choose(site, extent);
  if (number == 0) return shared::kNoStack;
  const WalkLayout& chosen = layout(number);
  if (chosen.end > extent.high - site.sp || !checks_hold(chosen, site) || is_end_changed(chosen, site))
    return shared::kNoStack;
  return known_.find(fingerprint_on_stack(FingerprintSum(*keys_, number, epoch), chosen, site));
}

}  // namespace leakwatch::preload
