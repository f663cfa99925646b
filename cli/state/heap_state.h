// SPDX-License-Identifier: Apache-2.0
//
// What the heap of a target looks like, event by event. A site is a stack and a size class; each has cumulative and
// live counters. When the sampling interval changes, a site has a part for each interval, so that a block's part tells
// its weight; they are put together when somebody asks. Pure: events in, counters out; the caller brings them in order
// (event_merger.h).
//
// Sampled events are scaled when they come in, by 1 / (1 - e^(-size/R)), R the mean sampling interval that the event
// was sampled with (the inverse of the probability that the block was sampled), and summed in fixed point, so that a
// free takes away exactly what its allocation had added and alloc_* never falls. In exact mode (R = 1) the scale is 1.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "cli/base/remapped_array.h"
#include "cli/state/block_table.h"
#include "cli/state/early_frees.h"
#include "cli/state/event.h"
#include "cli/state/segmented_table.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

// Upper bound of the class of a size: steps of 8 up to 128 bytes, then four classes to every doubling.
std::uint64_t size_class(std::uint64_t size);

class HeapState {
 public:
  // `sample_interval`: the one that the session begins with, step 0.
  explicit HeapState(std::uint64_t sample_interval);

  // Events come in the order in which they happened. What they need has to come from memory, which takes longer than
  // all else: so each is on its way for a while, and nothing else is to be called until finish() has had them arrive.
  [[gnu::always_inline]] void take(std::size_t ring, const Event& event) {
    Taken& taken = belt_[taken_ % kBelt];
    taken.event = event;
    taken.home = blocks_.home(event.address);
    taken.ring = static_cast<std::uint32_t>(ring);
    BlockTable::prefetch(taken.home);
    if (++taken_ % kStep == 0) advance();
  }
  void finish();
  void apply(std::size_t ring, const Event& event) {
    take(ring, event);
    finish();
  }

  // Frees may come before their block's allocation from now on, or none does any more; and: every event that was
  // stamped by `until` has been applied. Of exact sessions; see early_frees.h.
  void expect_early_frees(std::optional<std::uint64_t> looked);
  void settle_early_frees(std::uint64_t until);

  struct Site {
    std::uint32_t stack = 0;
    std::uint64_t size_class = 0;
    HeapCounters counters;
  };
  // In order of first appearance; earlier results are a prefix.
  std::vector<Site> sites() const;
  HeapCounters total() const;
  const std::vector<std::uint32_t>& stacks() const { return stacks_; }  // of each site

  std::uint64_t live_blocks() const { return blocks_.size(); }
  std::uint64_t unknown_frees() const { return unknown_frees_; }
  // Frees that never came, known because their address was handed out again; also by a realloc that failed and left a
  // block where another one lives.
  std::uint64_t implied_frees() const { return implied_frees_; }

 private:
  // Wide enough for whatever overwritten memory may claim. What is live is the difference, so that an event changes two
  // of them.
  __extension__ using Sum = __int128;
  struct Flow {
    Sum objects;  // fixed point, kOne is one block
    Sum space;
  };
  enum Direction : std::uint8_t { kAllocated, kFreed };
  struct alignas(64) Totals {
    std::array<Flow, 2> flows;  // by direction
  };
  struct Weight {
    std::int64_t objects;
    std::int64_t bytes;
  };
  static constexpr std::int64_t kOne = 1 << 16;
  static HeapCounters counters(const Totals& totals);

  // The belt: a step of events is prepared when all of it was taken, and applied when the next one is prepared too. So
  // few that what they need is in the processor's cache still, and so many that it is there already.
  static constexpr std::size_t kBelt = 128, kStep = 64;
  struct Taken {
    Event event;
    BlockTable::Home home;
    std::uint32_t ring;
    std::uint32_t part;  // of an allocation that was prepared
  };
  void advance();
  std::span<Taken> next_of(std::size_t& place);
  void prepare(std::span<Taken> events);
  void apply(std::span<const Taken> events);
  void apply_exact(std::span<const Taken> events);
  void apply(const Taken& taken);

  void allocate(const Event& event, BlockTable::Home home, std::uint32_t part);
  void put(const Block& block, BlockTable::Home home, std::uint64_t time);
  Block free(std::uint64_t address, BlockTable::Home home);
  void free_early(std::uint64_t address);
  void free_for_realloc(std::size_t ring, std::uint64_t address, BlockTable::Home home);
  void take_back(std::size_t ring, const Event& event, BlockTable::Home home);
  void add(Direction direction, const Block& block);
  std::uint32_t part_of(std::uint32_t stack, std::uint64_t size, std::uint8_t step);
  std::uint32_t new_part(std::uint32_t stack, std::uint64_t size, std::uint8_t step);
  Weight weight(std::uint64_t size, std::uint32_t part) const;
  // Their parts together: in `room`, unless every site has but one.
  std::span<const Totals> totals_of_sites(std::vector<Totals>& room) const;

  const std::uint64_t sample_interval_;
  BlockTable blocks_;
  std::array<Taken, kBelt> belt_{};
  // Of the events since the last finish(), how many have reached each stage: the latter two go in whole steps, up to
  // the last one.
  std::size_t taken_ = 0, prepared_ = 0, applied_ = 0;
  struct KnownPart {
    std::uint64_t key = 0;
    std::uint32_t part = 0;
  };
  static constexpr std::size_t kKnownParts = 16384;
  static constexpr int kKnownShift = 64 - std::countr_zero(kKnownParts);
  // One multiplication will do: who finds keys that are in each other's way has them looked for in the index.
  KnownPart& known_part(std::uint64_t key) { return known_parts_[key * 0x9e3779b97f4a7c15 >> kKnownShift]; }
  std::vector<KnownPart> known_parts_;  // some of the index, where the first look goes
  SegmentedTable part_index_;           // part_key() -> part
  std::vector<std::uint32_t> stacks_;   // of each site
  std::vector<std::uint64_t> classes_;  // of each site
  RemappedArray<Totals> totals_;        // of each part
  std::vector<std::uint32_t> sites_;    // of each part
  std::vector<std::uint8_t> steps_;     // of each part
  std::vector<Block> reallocated_;      // of each ring: the block that its last event freed for a realloc
  // The same for the shared ring, where the reallocs of several threads are in flight at once.
  std::unordered_map<std::uint64_t, Block, SegmentedTable::Hash> reallocated_on_shared_ring_;
  EarlyFrees early_frees_;
  std::uint64_t unknown_frees_ = 0;
  std::uint64_t implied_frees_ = 0;
};

}  // namespace leakwatch
