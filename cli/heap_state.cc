// SPDX-License-Identifier: Apache-2.0
//
// See the header. The hot part of the reader: per event one probe of the block table, and per allocation one of the
// site index.

#include "cli/heap_state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace leakwatch {

namespace {

constexpr std::uint64_t kSmallSizes = 128;
constexpr std::uint64_t kSmallStep = 8;

// Numbers the classes without gaps: steps of 8 up to 128, then four to a doubling.
std::uint32_t class_number(std::uint64_t size) {
  if (size <= kSmallSizes) return static_cast<std::uint32_t>((size + kSmallStep - 1) / kSmallStep);
  const auto doubling = static_cast<unsigned>(std::bit_width(size - 1) - 1);  // 2^doubling < size <= 2^(doubling + 1)
  const auto quarter = static_cast<std::uint32_t>((size - 1) >> (doubling - 2)) & 3;
  return static_cast<std::uint32_t>(kSmallSizes / kSmallStep) + 1 + (doubling - 7) * 4 + quarter;
}

constexpr std::size_t kSharedRing = 0;
constexpr std::size_t kMostInFlight = 1 << 16;

// A size beyond any address space comes from overwritten memory.
constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 47;

}  // namespace

std::uint64_t size_class(std::uint64_t size) {
  if (size <= kSmallSizes) return (size + kSmallStep - 1) / kSmallStep * kSmallStep;
  const auto doubling = static_cast<unsigned>(std::bit_width(size - 1) - 1);
  const std::uint64_t step = std::uint64_t{1} << (doubling - 2);
  return (size + step - 1) & ~(step - 1);
}

HeapState::HeapState(std::uint64_t sample_interval) : sample_interval_(sample_interval) {}

void HeapState::apply(std::size_t ring, const Event& event) {
  if (ring >= reallocated_.size()) reallocated_.resize(ring + 1);
  switch (event.kind) {
    case shared::EventKind::kAllocate:
      allocate(event);
      break;
    case shared::EventKind::kFree:
      free(event.address);
      break;
    case shared::EventKind::kReallocFree:
      free_for_realloc(ring, event.address);
      break;
    case shared::EventKind::kReallocFailed:
      take_back(ring, event.address);
      break;
    default:
      break;  // threads: thread_ledger.h
  }
}

void HeapState::allocate(const Event& event) {
  const std::uint64_t size = std::min(event.size, kLargestSize);
  if (const Block old = blocks_.take(event.address); old.address != 0) {
    ++implied_frees_;
    end_life(old);
  }
  const Block block{event.address, size, part_of(event.stack, size, event.interval_step)};
  const Weight added = weight(size, block.site);
  totals_[block.site].alloc_objects += added.objects;
  totals_[block.site].alloc_space += added.bytes;
  if (event.address != 0) begin_life(block);
}

Block HeapState::free(std::uint64_t address) {
  const Block block = address == 0 ? Block{} : blocks_.take(address);
  if (block.address == 0)
    ++unknown_frees_;
  else
    end_life(block);
  return block;
}

void HeapState::free_for_realloc(std::size_t ring, std::uint64_t address) {
  const Block block = free(address);
  if (ring != kSharedRing) {
    reallocated_[ring] = block;
  } else if (block.address != 0) {
    // Those that succeeded are never asked for again.
    if (reallocated_on_shared_ring_.size() >= kMostInFlight) reallocated_on_shared_ring_.clear();
    reallocated_on_shared_ring_[address] = block;
  }
}

// The realloc failed, so the block is what it was. Only the last realloc of a thread can fail.
void HeapState::take_back(std::size_t ring, std::uint64_t address) {
  Block& block = ring == kSharedRing ? reallocated_on_shared_ring_[address] : reallocated_[ring];
  if (address != 0 && block.address == address) {
    if (const Block other = blocks_.take(address); other.address != 0) end_life(other);
    begin_life(block);
  }
  block = {};
}

void HeapState::begin_life(const Block& block) {
  const Weight added = weight(block.size, block.site);
  totals_[block.site].inuse_objects += added.objects;
  totals_[block.site].inuse_space += added.bytes;
  blocks_.insert(block);
}

void HeapState::end_life(const Block& block) {
  const Weight removed = weight(block.size, block.site);
  totals_[block.site].inuse_objects -= removed.objects;
  totals_[block.site].inuse_space -= removed.bytes;
}

// The part of step 0 is there for every site, and first: it stands for the site's place among them.
std::uint32_t HeapState::part_of(std::uint32_t stack, std::uint64_t size, std::uint8_t step) {
  const std::uint64_t key = std::uint64_t{stack} << 32 | std::uint64_t{step} << 16 | class_number(size);
  if (const auto place = part_index_.find(key); place != part_index_.end()) return place->second;
  if (step == 0) {
    sites_.push_back(static_cast<std::uint32_t>(stacks_.size()));
    stacks_.push_back(stack);
    classes_.push_back(size_class(size));
  } else {
    sites_.push_back(sites_[part_of(stack, size, 0)]);
  }
  const auto part = static_cast<std::uint32_t>(totals_.size());
  steps_.push_back(step);
  totals_.emplace_back();
  part_index_.emplace(key, part);
  return part;
}

HeapState::Weight HeapState::weight(std::uint64_t size, std::uint32_t part) const {
  if (sample_interval_ == 1) return {kOne, static_cast<std::int64_t>(size)};
  const double bytes = size == 0 ? 1 : static_cast<double>(size);  // as the sampler counts it
  const auto interval = static_cast<double>(shared::interval_of_step(steps_[part], sample_interval_));
  const double scale = 1 / -std::expm1(-bytes / interval);
  return {std::llround(scale * kOne), std::llround(scale * static_cast<double>(size))};
}

const std::vector<HeapState::Totals>& HeapState::totals_of_sites(std::vector<Totals>& room) const {
  if (stacks_.size() == totals_.size()) return totals_;
  room.assign(stacks_.size(), {});
  for (std::size_t part = 0; part < totals_.size(); ++part) {
    Totals& sum = room[sites_[part]];
    sum.alloc_objects += totals_[part].alloc_objects;
    sum.alloc_space += totals_[part].alloc_space;
    sum.inuse_objects += totals_[part].inuse_objects;
    sum.inuse_space += totals_[part].inuse_space;
  }
  return room;
}

HeapCounters HeapState::counters(const Totals& totals) {
  const auto clamped = [](Sum sum) {
    constexpr Sum kLargest = std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(std::min(sum, kLargest));
  };
  const auto whole = [&clamped](Sum fixed) { return clamped((fixed + kOne / 2) >> 16); };
  return {whole(totals.alloc_objects), clamped(totals.alloc_space), whole(totals.inuse_objects),
          clamped(totals.inuse_space)};
}

std::vector<HeapState::Site> HeapState::sites() const {
  std::vector<Totals> room;
  const std::vector<Totals>& totals = totals_of_sites(room);
  std::vector<Site> result;
  result.reserve(totals.size());
  for (std::size_t i = 0; i < totals.size(); ++i) result.push_back({stacks_[i], classes_[i], counters(totals[i])});
  return result;
}

// The sum of the rounded numbers, so that it is that of the sites.
HeapCounters HeapState::total() const {
  HeapCounters sum;
  std::vector<Totals> room;
  for (const Totals& totals : totals_of_sites(room)) sum += counters(totals);
  return sum;
}

}  // namespace leakwatch
