// SPDX-License-Identifier: Apache-2.0
//
// See the header. The hot part of the reader: per event one probe of the block table, and per allocation one of the
// index of sites.

#include "cli/state/heap_state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace leakwatch {

namespace {

constexpr std::uint64_t kSmallSizes = 128;
constexpr std::uint64_t kSmallStep = 8;

// Numbers the classes without gaps: steps of 8 up to 128, then four to a doubling.
constexpr std::uint8_t computed_class_number(std::uint64_t size) {
  if (size <= kSmallSizes) return static_cast<std::uint8_t>((size + kSmallStep - 1) / kSmallStep);
  const auto doubling = static_cast<unsigned>(std::bit_width(size - 1) - 1);  // 2^doubling < size <= 2^(doubling + 1)
  const auto quarter = static_cast<unsigned>((size - 1) >> (doubling - 2)) & 3;
  return static_cast<std::uint8_t>(kSmallSizes / kSmallStep + 1 + std::uint64_t{4} * (doubling - 7) + quarter);
}

// Those of most blocks, for all classes end at multiples of the small step.
constexpr auto kClassNumbers = [] {
  std::array<std::uint8_t, 4096 / kSmallStep + 1> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = computed_class_number(i * kSmallStep);
  return numbers;
}();

std::uint8_t class_number(std::uint64_t size) {
  const std::uint64_t steps = (size + kSmallStep - 1) / kSmallStep;
  return steps < kClassNumbers.size() ? kClassNumbers[steps] : computed_class_number(size);
}

// The bit is for keys not to be 0.
std::uint64_t part_key(std::uint32_t stack, std::uint64_t size, std::uint8_t step) {
  return std::uint64_t{1} << 55 | std::uint64_t{step} << 40 | std::uint64_t{stack} << 8 | class_number(size);
}

// A size beyond any address space comes from overwritten memory.
constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 47;

std::uint64_t size_of(const Event& event) {
  return std::min(event.size, kLargestSize);
}
std::uint64_t key_of(const Event& event) {
  return part_key(event.stack, size_of(event), event.interval_step);
}

constexpr std::size_t kSharedRing = 0;
constexpr std::size_t kMostInFlight = 1 << 16;

}  // namespace

std::uint64_t size_class(std::uint64_t size) {
  if (size <= kSmallSizes) return (size + kSmallStep - 1) / kSmallStep * kSmallStep;
  const auto doubling = static_cast<unsigned>(std::bit_width(size - 1) - 1);
  const std::uint64_t step = std::uint64_t{1} << (doubling - 2);
  return (size + step - 1) & ~(step - 1);
}

HeapState::HeapState(std::uint64_t sample_interval) : sample_interval_(sample_interval), known_parts_(kKnownParts) {}

// Where `place` is on the belt, up to the next step's end, or to the end of what is there; and goes on to that.
std::span<HeapState::Taken> HeapState::next_of(std::size_t& place) {
  const std::size_t count = std::min(kStep, taken_ - place), from = place % kBelt;
  place += count;
  return std::span(belt_).subspan(from, count);
}

void HeapState::advance() {
  prepare(next_of(prepared_));
  if (taken_ - applied_ == kBelt) apply(next_of(applied_));
}

void HeapState::finish() {
  while (prepared_ != taken_) prepare(next_of(prepared_));
  while (applied_ != taken_) apply(next_of(applied_));
  taken_ = prepared_ = applied_ = 0;
}

// The homes have come from memory; what comes after them has not.
void HeapState::prepare(std::span<Taken> events) {
  // Where in the step they are: branches on what an event is would be guessed wrong.
  std::array<std::uint8_t, kStep> allocations, crowded;
  std::size_t allocation_count = 0, crowded_count = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Taken& taken = events[i];
    allocations[allocation_count] = crowded[crowded_count] = static_cast<std::uint8_t>(i);
    allocation_count += taken.event.kind == shared::EventKind::kAllocate;
    crowded_count += BlockTable::prefetch_next(taken.home);
    __builtin_prefetch(totals_.data() + BlockTable::likely_part(taken.home, taken.event.address), 1);
  }
  // Of a program with many sites most parts are in the index only, which is larger than what the processor has at hand.
  std::size_t unknown_count = 0;
  for (const std::uint8_t i : std::span(allocations.data(), allocation_count)) {
    const std::uint64_t key = key_of(events[i].event);
    const KnownPart& known = known_part(key);
    events[i].part = known.part;
    __builtin_prefetch(totals_.data() + known.part, 1);
    allocations[unknown_count] = i;
    unknown_count += known.key != key;
  }
  const std::span unknown(allocations.data(), unknown_count);
  for (const std::uint8_t i : unknown) part_index_.prefetch_key(key_of(events[i].event));
  for (const std::uint8_t i : std::span(crowded.data(), crowded_count)) blocks_.prefetch_after_next(events[i].home);
  for (const std::uint8_t i : unknown) {
    const Event& event = events[i].event;
    events[i].part = part_of(event.stack, size_of(event), event.interval_step);
    __builtin_prefetch(&totals_[events[i].part], 1);
  }
}

void HeapState::apply(std::span<const Taken> events) {
  // An event puts one block at most.
  if (blocks_.make_room(kStep)) [[unlikely]] {
    for (Taken& taken : belt_) taken.home = blocks_.home(taken.event.address);
  }
  if (sample_interval_ == 1) return apply_exact(events);
  for (const Taken& taken : events) apply(taken);
}

// Nearly all events of an exact session are done with here, without a branch on what they are: that is hard to guess.
void HeapState::apply_exact(std::span<const Taken> events) {
  for (const Taken& taken : events) {
    const Event& event = taken.event;
    const bool is_allocation = event.kind == shared::EventKind::kAllocate;
    Block block{event.address, event.size, taken.part};
    if (event.kind > shared::EventKind::kFree || (early_frees_.may_wait(event.address) && is_allocation) ||
        !blocks_.put_or_take(block, taken.home, is_allocation)) [[unlikely]] {
      apply(taken);
      continue;
    }
    Flow& flow = totals_[block.part].flows[is_allocation ? kAllocated : kFreed];
    flow.objects += kOne;
    flow.space += block.size;
  }
}

[[gnu::noinline]] void HeapState::apply(const Taken& taken) {
  const Event& event = taken.event;
  switch (event.kind) {
    case shared::EventKind::kAllocate:
      allocate(event, taken.home, taken.part);
      break;
    case shared::EventKind::kFree:
      free(event.address, taken.home);
      break;
    case shared::EventKind::kReallocFree:
      free_for_realloc(taken.ring, event.address, taken.home);
      break;
    case shared::EventKind::kReallocFailed:
      take_back(taken.ring, event, taken.home);
      break;
    default:
      break;  // threads: thread_ledger.h
  }
}

void HeapState::allocate(const Event& event, BlockTable::Home home, std::uint32_t part) {
  const Block block{event.address, size_of(event), part};
  add(kAllocated, block);
  if (block.address == 0) [[unlikely]]
    return add(kFreed, block);
  put(block, home, event.time);
}

// A block that lives from now on, unless the free that comes next at its address has come before.
void HeapState::put(const Block& block, BlockTable::Home home, std::uint64_t time) {
  if (early_frees_.may_wait(block.address)) {
    unknown_frees_ += early_frees_.give_up_before(time, block.address);
    if (early_frees_.take(block.address)) return add(kFreed, block);
  }
  const Block old = blocks_.put(block, home);
  if (old.address == 0) [[likely]]
    return;
  ++implied_frees_;
  add(kFreed, old);
}

Block HeapState::free(std::uint64_t address, BlockTable::Home home) {
  const Block block = blocks_.take(address, home);
  if (block.address != 0) [[likely]]
    add(kFreed, block);
  else
    free_early(address);
  return block;
}

// Its allocation is still to come, if there is one.
void HeapState::free_early(std::uint64_t address) {
  if (address == 0 || !early_frees_.are_expected()) {
    ++unknown_frees_;
    return;
  }
  if (early_frees_.are_too_many()) settle_early_frees(early_frees_.oldest());
  early_frees_.add(address);
}

// All that were waited for have come, when none is expected any more.
void HeapState::expect_early_frees(std::optional<std::uint64_t> looked) {
  if (!looked) settle_early_frees(std::numeric_limits<std::uint64_t>::max());
  early_frees_.expect(looked);
}

void HeapState::settle_early_frees(std::uint64_t until) {
  unknown_frees_ += early_frees_.settle(until);
}

void HeapState::free_for_realloc(std::size_t ring, std::uint64_t address, BlockTable::Home home) {
  const Block block = free(address, home);
  if (ring != kSharedRing) {
    if (ring >= reallocated_.size()) reallocated_.resize(ring + 1);
    reallocated_[ring] = block;
  } else if (block.address == 0) {
    reallocated_on_shared_ring_.erase(address);
  } else {
    // Those that succeeded are never asked for again.
    if (reallocated_on_shared_ring_.size() >= kMostInFlight) reallocated_on_shared_ring_.clear();
    reallocated_on_shared_ring_[address] = block;
  }
}

// The realloc failed, so the block is what it was. Only the last realloc of a thread can fail.
void HeapState::take_back(std::size_t ring, const Event& event, BlockTable::Home home) {
  const std::uint64_t address = event.address;
  Block block;
  if (ring != kSharedRing) {
    if (ring < reallocated_.size()) block = std::exchange(reallocated_[ring], {});
  } else if (const auto place = reallocated_on_shared_ring_.find(address); place != reallocated_on_shared_ring_.end()) {
    block = place->second;
    reallocated_on_shared_ring_.erase(place);
  }
  if (address == 0) return;
  if (block.address != address) {
    early_frees_.take(address);  // if that is what its own free was
    return;
  }
  const Weight freed = weight(block.size, block.part);
  Flow& flow = totals_[block.part].flows[kFreed];
  flow.objects -= freed.objects;
  flow.space -= freed.bytes;
  put(block, home, event.time);
}

void HeapState::add(Direction direction, const Block& block) {
  const Weight added = weight(block.size, block.part);
  Flow& flow = totals_[block.part].flows[direction];
  flow.objects += added.objects;
  flow.space += added.bytes;
}

std::uint32_t HeapState::part_of(std::uint32_t stack, std::uint64_t size, std::uint8_t step) {
  const std::uint64_t key = part_key(stack, size, step);
  KnownPart& known = known_part(key);
  if (known.key == key) [[likely]]
    return known.part;
  const std::uint64_t* number = part_index_.find(key, SegmentedTable::hash_of(key));
  const std::uint32_t part = number != nullptr ? static_cast<std::uint32_t>(*number) : new_part(stack, size, step);
  known = {key, part};
  return part;
}

// The part of step 0 is there for every site, and first: it stands for the site's place among them.
std::uint32_t HeapState::new_part(std::uint32_t stack, std::uint64_t size, std::uint8_t step) {
  if (step == 0) {
    sites_.push_back(static_cast<std::uint32_t>(stacks_.size()));
    stacks_.push_back(stack);
    classes_.push_back(size_class(size));
  } else {
    const std::uint32_t first = part_of(stack, size, 0);
    sites_.push_back(sites_[first]);
  }
  const std::uint64_t key = part_key(stack, size, step);
  const auto part = static_cast<std::uint32_t>(totals_.size());
  part_index_.put({key << 8, part}, SegmentedTable::hash_of(key));
  steps_.push_back(step);
  totals_.add_zeroes();
  return part;
}

HeapState::Weight HeapState::weight(std::uint64_t size, std::uint32_t part) const {
  if (sample_interval_ == 1) return {kOne, static_cast<std::int64_t>(size)};
  const auto bytes = static_cast<double>(shared::sampled_bytes(size));
  const auto interval = static_cast<double>(shared::interval_of_step(steps_[part], sample_interval_));
  const double scale = 1 / -std::expm1(-bytes / interval);
  return {std::llround(scale * kOne), std::llround(scale * static_cast<double>(size))};
}

std::span<const HeapState::Totals> HeapState::totals_of_sites(std::vector<Totals>& room) const {
  if (stacks_.size() == totals_.size()) return totals_.all();
  room.assign(stacks_.size(), {});
  for (std::size_t part = 0; part < totals_.size(); ++part) {
    for (const Direction each : {kAllocated, kFreed}) {
      room[sites_[part]].flows[each].objects += totals_[part].flows[each].objects;
      room[sites_[part]].flows[each].space += totals_[part].flows[each].space;
    }
  }
  return room;
}

HeapCounters HeapState::counters(const Totals& totals) {
  const auto clamped = [](Sum sum) {
    constexpr Sum kLargest = std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(std::min(sum, kLargest));
  };
  const auto whole = [&clamped](Sum fixed) { return clamped((fixed + kOne / 2) >> 16); };
  const auto& [allocated, freed] = totals.flows;
  return {whole(allocated.objects), clamped(allocated.space), whole(allocated.objects - freed.objects),
          clamped(allocated.space - freed.space)};
}

std::vector<HeapState::Site> HeapState::sites() const {
  std::vector<Totals> room;
  const std::span<const Totals> totals = totals_of_sites(room);
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
