// SPDX-License-Identifier: Apache-2.0
//
// See the header. What is seldom: growing, and values that are not at home. A group that gets another segment is lifted
// out of its places and settled in them anew, so that it takes no second room; that is some 5,000 values, or 30 us.
//
// A target that overwrote its events may send any keys, but does not know which of them belong to one segment. What
// nevertheless goes past too many buckets is kept beside the table, where it is slow to find, and in nobody's way.

#include "cli/state/segmented_table.h"

#include <sys/mman.h>
#include <sys/random.h>

#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace leakwatch {

namespace {

// So full is the table at most. A fuller one is smaller, but more values are not at home.
constexpr std::size_t kPercentTaken = 46;
// In smaller tables, a huge page that is touched for its first segment would be most of all. When there is the first
// one, the chunks before it are made huge pages too, one for each chunk that comes.
constexpr std::size_t kFirstHugeChunk = 4;
constexpr int kCollapse = 25;  // MADV_COLLAPSE, of Linux 6.1, which Debian 12's headers do not know

void* reserve(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

// At a multiple of its size.
void* reserve_aligned(std::size_t bytes) {
  auto* memory = static_cast<char*>(reserve(2 * bytes));
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(memory) & (bytes - 1);
  if (before != 0) munmap(memory, before);
  munmap(memory + before + bytes, bytes - before);
  return memory + before;
}

}  // namespace

const std::uint64_t kHashSecret = [] {
  std::uint64_t secret = 0;
  if (getrandom(&secret, sizeof secret, GRND_NONBLOCK) != sizeof secret)
    secret = reinterpret_cast<std::uintptr_t>(&secret);
  return secret;
}();

SegmentedTable::SegmentedTable() {
  add_chunk();
  set_sizes();
}

SegmentedTable::~SegmentedTable() {
  for (Bucket* chunk : chunks_) munmap(chunk, kChunkBytes);
}

std::size_t SegmentedTable::bytes() const {
  constexpr std::size_t kBytesBeside = 64;
  return count_ * buckets_ * sizeof(Bucket) + beside_.size() * kBytesBeside;
}

const std::uint64_t* SegmentedTable::find(std::uint64_t key, std::uint64_t hash) const {
  const Spot spot = search(home(hash), key << 8);
  if (spot.bucket != nullptr) return &spot.bucket->places[spot.place].tail;
  const auto place = beside_.find(key);
  return place != beside_.end() ? &place->second : nullptr;
}

// Not beside the table; so many buckets were passed then.
SegmentedTable::Spot SegmentedTable::search(Bucket* home, std::uint64_t head) const {
  Bucket* bucket = home;
  for (std::size_t passed = 0; passed < kMostProbes; ++passed, bucket = next(bucket)) {
    const std::uint32_t place = bucket->candidate(head);
    if (bucket->has(place, head)) return {bucket, place, passed};
    if (bucket->passed() == 0) return {nullptr, 0, passed};
  }
  return {nullptr, 0, kMostProbes};
}

bool SegmentedTable::put_or_take_further(Bucket* home, Place& place, bool is_put) {
  const Spot spot = search(home, place.head);
  if (is_put == (spot.bucket != nullptr) || spot.passed == kMostProbes) return false;
  if (is_put) {
    add(home, place);
    ++size_;
    return true;
  }
  place.tail = spot.bucket->places[spot.place].tail;
  spot.bucket->empty(spot.place);
  unpass(home, spot.passed);
  --size_;
  return true;
}

SegmentedTable::Place SegmentedTable::put_slowly(Bucket* home, const Place& place) {
  const Spot spot = search(home, place.head);
  const auto beside = spot.passed == kMostProbes ? beside_.find(place.key()) : beside_.end();
  std::uint64_t* value = nullptr;
  if (spot.bucket != nullptr) value = &spot.bucket->places[spot.place].tail;
  if (beside != beside_.end()) value = &beside->second;
  if (value != nullptr) return {place.head, std::exchange(*value, place.tail)};
  add(home, place);
  ++size_;
  return {};
}

// The key is not there.
void SegmentedTable::add(Bucket* home, const Place& place) {
  Bucket* bucket = home;
  for (std::size_t passed = 0; passed < kMostProbes; ++passed, bucket = next(bucket)) {
    const std::uint32_t empty = bucket->first_empty();
    if (empty != kPlaces) return bucket->fill(empty, place);
    bucket->pass();
  }
  beside_[place.key()] = place.tail;
}

SegmentedTable::Place SegmentedTable::take_beside(Bucket* home, std::uint64_t key) {
  const auto beside = beside_.find(key);
  if (beside == beside_.end()) return {};
  const Place taken{key << 8, beside->second};
  beside_.erase(beside);
  unpass(home, kMostProbes);
  --size_;
  return taken;
}

void SegmentedTable::unpass(Bucket* home, std::size_t count) {
  for (Bucket* bucket = home; count != 0; --count, bucket = next(bucket)) bucket->unpass();
}

void SegmentedTable::grow() {
  const std::size_t group = grown_;
  lift_beside(group);
  for (std::size_t segment = group; segment < count_; segment += round_) lift(segment);
  if (buckets_ < kSegmentBuckets) {
    buckets_ *= 2;
    --home_shift_;
  } else {
    ++count_;
  }
  if (count_ > chunks_.size() * kSegmentsInChunk) add_chunk();
  if (count_ == 4 * round_) round_ = std::size_t{1} << ++round_bits_;
  set_sizes();
  for (const Place& place : lifted_) add(home(hash_of(place.key())), place);
  moved_ += lifted_.size();
  lifted_.clear();
}

// The segment is empty then.
void SegmentedTable::lift(std::size_t segment) {
  const std::span buckets(begin_of(segment), buckets_);
  for (const Bucket& bucket : buckets) {
    for (const Place& place : bucket.places) {
      if (place.key() != 0) lifted_.push_back({place.key() << 8, place.tail});
    }
  }
  std::memset(static_cast<void*>(buckets.data()), 0, buckets.size_bytes());
}

// What would be in one of the group's segments if it had room.
void SegmentedTable::lift_beside(std::size_t group) {
  std::erase_if(beside_, [&](const auto& value) {
    const auto& [key, tail] = value;
    const bool is_of_group = (segment_bits(hash_of(key)) & (round_ - 1)) == group;
    if (is_of_group) lifted_.push_back({key << 8, tail});
    return is_of_group;
  });
}

// That the kernel has no huge pages is no error.
void SegmentedTable::add_chunk() {
  const std::size_t index = chunks_.size();
  chunks_.push_back(static_cast<Bucket*>(reserve_aligned(kChunkBytes)));
  if (index < kFirstHugeChunk) return;
  madvise(chunks_[index], kChunkBytes, MADV_HUGEPAGE);
  if (index < 2 * kFirstHugeChunk) madvise(chunks_[index - kFirstHugeChunk], kChunkBytes, kCollapse);
}

void SegmentedTable::set_sizes() {
  const bool have_others_three = count_ >= 3 * round_;
  grown_ = count_ - (have_others_three ? 3 : 2) * round_;
  even_mask_ = (have_others_three ? 4 : 2) * round_ - 1;
  before_grown_ = -std::size_t{have_others_three};
  limit_ = count_ * buckets_ * kPlaces * kPercentTaken / 100;
}

}  // namespace leakwatch
