// SPDX-License-Identifier: Apache-2.0
//
// See the header. What is seldom: growing. A segment is lifted out of its places and settled in them anew, so that it
// takes no second room; that is some 2,000 values, or 20 us.
//
// A target that overwrote its events may send any keys, but does not know which of them belong to one segment. One that
// grows beyond the address space that a segment gets nevertheless is slow; the others stay as they are.

#include "cli/segmented_table.h"

#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <new>
#include <span>

namespace leakwatch {

namespace {

// Of buckets, four values each.
constexpr std::size_t kBucketsInPage = 4096 / 64;
constexpr std::size_t kSteadyCount = 256;  // from here on, a segment grows by a quarter at most

// The mean over all segments, of values. Those that are next to be split have nearly twice as many, just split ones
// half as many.
constexpr std::size_t kMeanUsed = 1250;
// Address space for one, in buckets. Twice the mean and six standard deviations more do not fill it.
constexpr std::size_t kReserved = 1280;

// Values that may be in so many buckets; `more` than at least, from 0 to kShares, is the segment's own.
constexpr std::size_t kShares = 256;
constexpr std::size_t limit_of_buckets(std::size_t buckets, std::size_t more = 0) {
  return buckets * 4 * (9 * kShares + 2 * more) / (16 * kShares);
}
static_assert(limit_of_buckets(kReserved) > 2 * kMeanUsed + 300);

std::size_t next_count(std::size_t buckets) {
  if (buckets < kSteadyCount || buckets > kReserved) return buckets * 2;
  return buckets + std::bit_floor(buckets) / 4;  // whole pages
}

std::size_t count_for(std::size_t values) {
  std::size_t buckets = kBucketsInPage;
  while (limit_of_buckets(buckets) <= values) buckets = next_count(buckets);
  return buckets;
}

void* reserve(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

}  // namespace

const std::uint64_t kHashSecret = [] {
  std::uint64_t secret = 0;
  if (getrandom(&secret, sizeof secret, GRND_NONBLOCK) != sizeof secret)
    secret = reinterpret_cast<std::uintptr_t>(&secret);
  return secret;
}();

SegmentedTable::SegmentedTable() : segments_(1), split_at_(kMeanUsed) {
  settle(segments_.front(), kBucketsInPage);
}

SegmentedTable::~SegmentedTable() {
  for (const Segment& segment : segments_) {
    if (segment.buckets != nullptr) munmap(segment.buckets, segment.reserved * sizeof(Bucket));
  }
}

std::size_t SegmentedTable::bytes() const {
  std::size_t buckets = 0;
  for (const Segment& segment : segments_) buckets += segment.count;
  return buckets * sizeof(Bucket) + segments_.capacity() * sizeof(Segment);
}

// The bucket was full before it lost a value: one that had to go past it may stand in a bucket after it.
void SegmentedTable::Segment::refill(std::uint32_t gap) {
  for (std::uint32_t at = next(gap);; at = next(at)) {
    Bucket& bucket = buckets[at];
    const bool was_full = bucket.is_full();
    for (Place& place : bucket.places) {
      if (place.head == 0 || distance(home(hash_of(place.key())), at) < distance(gap, at)) continue;
      Place& last = bucket.places[bucket.used() - 1];
      buckets[gap].places[kPlaces - 1] = std::exchange(place, last);
      last = {};
      gap = at;
      break;
    }
    if (!was_full) return;
  }
}

void SegmentedTable::split_next() {
  const std::size_t from = count_ - round_;
  segments_.emplace_back();
  ++count_;
  lift(segments_[from]);
  const auto stays = [&](const Place& place) { return (hash_of(place.key()) & round_) == 0; };
  const auto middle = std::stable_partition(lifted_.begin(), lifted_.end(), stays);
  const std::vector<Place> leaving(middle, lifted_.end());
  lifted_.erase(middle, lifted_.end());
  settle(segments_[from], count_for(lifted_.size()));
  lifted_ = leaving;
  settle(segments_.back(), count_for(lifted_.size()));
  if (count_ == 2 * round_) round_ *= 2;
  split_at_ = count_ * kMeanUsed;
}

void SegmentedTable::grow(Segment& segment) {
  lift(segment);
  settle(segment, next_count(segment.count));
}

std::uint32_t SegmentedTable::limit_of(const Segment& segment) const {
  const auto index = static_cast<std::uint32_t>(&segment - segments_.data());
  return static_cast<std::uint32_t>(limit_of_buckets(segment.count, index * 0x9e3779b9 >> 24));
}

// Into `lifted_`, in the order of the buckets; the segment is empty then.
void SegmentedTable::lift(Segment& segment) {
  lifted_.clear();
  for (Bucket& bucket : std::span(segment.buckets, segment.count)) {
    for (const Place& place : bucket.places) {
      if (place.head != 0) lifted_.push_back(place);
    }
    bucket = {};
  }
  moved_ += lifted_.size();
}

// Puts what was lifted into a segment that is empty, and gives it another size.
void SegmentedTable::settle(Segment& segment, std::size_t buckets) {
  if (buckets > segment.reserved) {
    const std::size_t reserved = std::max(buckets, kReserved);
    void* memory = reserve(reserved * sizeof(Bucket));
    if (segment.buckets != nullptr) munmap(segment.buckets, segment.reserved * sizeof(Bucket));
    segment.buckets = static_cast<Bucket*>(memory);
    segment.reserved = static_cast<std::uint32_t>(reserved);
  } else if (buckets < segment.count) {
    madvise(segment.buckets + buckets, (segment.count - buckets) * sizeof(Bucket), MADV_DONTNEED);
  }
  segment.count = static_cast<std::uint32_t>(buckets);
  segment.limit = limit_of(segment);
  segment.used = static_cast<std::uint32_t>(lifted_.size());
  for (const Place& place : lifted_) {
    const Spot spot = segment.find(place.key(), hash_of(place.key()));
    segment.buckets[spot.bucket].places[spot.place] = place;
  }
}

}  // namespace leakwatch
