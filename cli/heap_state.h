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

#include "cli/block_table.h"
#include "cli/early_frees.h"
#include "cli/event.h"
#include "cli/remapped_array.h"
#include "cli/segmented_table.h"
#include "cli/snapshot.h"

namespace leakwatch {

// Upper bound of the class of a size: steps of 8 up to 128 bytes, then four classes to every doubling.
std::uint64_t size_class(std::uint64_t size);

class HeapState {
 public:
  // `sample_interval`: the one that the session begins with, step 0.
  explicit HeapState(std::uint64_t sample_interval);

  // Has what an event needs come from memory: the `place`-th of those that will be applied next.
  void expect(std::size_t place, const Event& event) {
    homes_[place] = blocks_.home(event.address);
    BlockTable::prefetch(homes_[place]);
  }
  // In the order in which they happened; at most kMostEventsInBatch, and all of them expected.
  void apply(std::span<const RingEvent> events);
  void apply(std::size_t ring, const Event& event) {
    const RingEvent one{&event, ring};
    expect(0, event);
    apply(std::span(&one, 1));
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

  std::uint64_t live_blocks() const { return blocks_.size() - early_frees_.addresses(); }
  std::uint64_t unknown_frees() const { return unknown_frees_; }
  // Frees that never came, known because their address was handed out again.
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

  void prepare(std::span<const RingEvent> events);
  std::size_t apply_at_once(std::span<const RingEvent> events, std::size_t from);
  std::size_t put_back(const Block& block, std::size_t event);
  void apply(const RingEvent& one, BlockTable::Home home, std::uint32_t part);

  void allocate(const Event& event, BlockTable::Home home, std::uint32_t part);
  Block free(std::uint64_t address, BlockTable::Home home);
  void free_early(std::uint64_t address, BlockTable::Home home);
  void meet_early_free(const Block& block, const Block& mark, std::uint64_t time);
  void take_early_free(std::uint64_t address);
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
  // What can be known of the events of a batch before those in front of them are applied.
  std::array<BlockTable::Home, kMostEventsInBatch>
      homes_{};  // of the addresses; there is room: an event puts one block at most
  std::array<std::uint32_t, kMostEventsInBatch> parts_{};         // of allocations
  std::array<std::uint8_t, kMostEventsInBatch + 1> allocations_;  // where in the batch they are
  std::array<std::uint8_t, kMostEventsInBatch + 1> crowded_;      // the same of those whose home is full
  struct KnownPart {
    std::uint64_t key = 0;
    std::uint32_t part = 0;
  };
  static constexpr std::size_t kKnownParts = 16384;
  static constexpr int kKnownShift = 64 - std::countr_zero(kKnownParts);
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
  // Where one waits, there is a mark in the table: a block of this part.
  static constexpr std::uint32_t kEarlyFree = ~std::uint32_t{0};
  EarlyFrees early_frees_;
  std::uint64_t unknown_frees_ = 0;
  std::uint64_t implied_frees_ = 0;
};

}  // namespace leakwatch
