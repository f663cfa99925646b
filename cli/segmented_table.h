// SPDX-License-Identifier: Apache-2.0
//
// A hash table for very many small values, each of which is looked for at random: 56-bit keys, 72 bits of value, 16
// bytes a place. It is where the reader of a large heap spends its time and its memory, so:
//
//   A look touches one cache line in nine of ten cases, and the caller may ask for that line ahead of time. The places
//   are in buckets of a line; a value that finds its own bucket full goes to the next one that is not. All four places
//   of a bucket are looked at at once, since a branch for each would be guessed wrong half of the time.
//
//   It grows without a pause and without being there twice. The buckets are in segments, each with room of its own in
//   address space, of which only what is used is ever touched. A segment grows in steps of a quarter at most; and
//   whenever so many values have come, one segment is split in two, each in its turn (linear hashing), so that segments
//   stay as small as they are however many there are. Each segment is full at a share of its own, between 9/16 and
//   11/16, since blocks come at even distances and fill all of them alike: so they do not grow all at once.
//
//   Removal shifts back what had to go on from a full bucket: there are no tombstones, and a table that shrank is as
//   good as new.
//
// On the whole, between 24 and 31 bytes a value.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace leakwatch {

// Drawn once in the life of this process.
extern const std::uint64_t kHashSecret;

class SegmentedTable {
 public:
  struct Place {
    std::uint64_t head = 0;  // the key, and below it the upper 8 bits of the value; 0: an empty place
    std::uint64_t tail = 0;  // the lower 64 bits of the value
    std::uint64_t key() const { return head >> 8; }
  };

  static constexpr std::uint32_t kPlaces = 4;  // of a bucket

  // The places that are taken come first.
  struct alignas(64) Bucket {
    Place places[kPlaces];
    bool is_full() const { return places[kPlaces - 1].head != 0; }
    // Written out, as -O2 leaves loops over four what they are.
    std::uint32_t used() const {
      return std::uint32_t{places[0].head != 0} + std::uint32_t{places[1].head != 0} +
             std::uint32_t{places[2].head != 0} + std::uint32_t{places[3].head != 0};
    }
    // One bit for each place that has the key.
    std::uint32_t hits(std::uint64_t key) const {
      return std::uint32_t{places[0].key() == key} | std::uint32_t{places[1].key() == key} << 1 |
             std::uint32_t{places[2].key() == key} << 2 | std::uint32_t{places[3].key() == key} << 3;
    }
  };

  SegmentedTable();
  ~SegmentedTable();
  SegmentedTable(const SegmentedTable&) = delete;
  SegmentedTable& operator=(const SegmentedTable&) = delete;

  std::size_t size() const { return size_; }
  std::size_t bytes() const;                    // of memory that is used for places
  std::size_t moved() const { return moved_; }  // how often a value was moved by growing

  // To be had ahead of time, for the functions below. Nobody outside of this process can tell which keys would stand in
  // each other's way.
  static std::uint64_t hash_of(std::uint64_t key) {
    // One multiplication alone would put the blocks of an arena, which are at even distances, into a few long runs.
    const std::uint64_t mixed = (key ^ kHashSecret) * 0x9e3779b97f4a7c15;
    return (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  }

  // Has the bucket's line come into the processor's cache while something else is being done; and a little later, when
  // it is there, the line after it if that will be looked at as well. Inline, all the way up: g++ 12 leaves out calls
  // of a function that does nothing else.
  [[gnu::always_inline]] const Bucket* prefetch(std::uint64_t hash) const {
    const Segment& segment = segments_[index_of(hash)];
    const Bucket* bucket = segment.buckets + segment.home(hash);
    __builtin_prefetch(bucket, 1);
    return bucket;
  }
  [[gnu::always_inline]] static void prefetch_next(const Bucket* bucket) {
    __builtin_prefetch(bucket + bucket->is_full(), 1);
  }

  // Null when the key is not there. The key is not 0, here and below. Valid until the table is changed.
  const Place* find(std::uint64_t key, std::uint64_t hash) const {
    const Segment& segment = segments_[index_of(hash)];
    const Spot spot = segment.find(key, hash);
    return spot.is_found ? &segment.buckets[spot.bucket].places[spot.place] : nullptr;
  }

  // Puts the place under its key, and returns what was there before; an empty one when there was none.
  Place put(const Place& place, std::uint64_t hash) {
    if (size_ >= split_at_) [[unlikely]]
      split_next();
    Segment& segment = segments_[index_of(hash)];
    if (segment.used >= segment.limit) [[unlikely]]
      grow(segment);
    const Spot spot = segment.find(place.key(), hash);
    segment.used += !spot.is_found;
    size_ += !spot.is_found;
    return std::exchange(segment.buckets[spot.bucket].places[spot.place], place);
  }

  // Takes the place of the key out; an empty one when there was none.
  Place take(std::uint64_t key, std::uint64_t hash) {
    Segment& segment = segments_[index_of(hash)];
    const Spot spot = segment.find(key, hash);
    if (!spot.is_found) [[unlikely]]
      return {};
    const Place place = segment.buckets[spot.bucket].places[spot.place];
    segment.remove(spot);
    --size_;
    return place;
  }

 private:
  struct Spot {  // where a key is; or, when it is not found, where it may be put
    std::uint32_t bucket;
    std::uint32_t place;
    bool is_found;
  };

  // The lower half of the hash chooses the segment, the upper one the bucket in it: in the order of the hash, so that a
  // segment is moved from its start to its end.
  struct Segment {
    Bucket* buckets = nullptr;
    std::uint32_t count = 0;     // of buckets
    std::uint32_t used = 0;      // places
    std::uint32_t limit = 0;     // of `used`; then it grows
    std::uint32_t reserved = 0;  // buckets that there is address space for

    std::uint32_t home(std::uint64_t hash) const { return static_cast<std::uint32_t>((hash >> 32) * count >> 32); }
    std::uint32_t next(std::uint32_t bucket) const { return bucket + 1 == count ? 0 : bucket + 1; }
    std::uint32_t distance(std::uint32_t from, std::uint32_t to) const {
      return to >= from ? to - from : to + count - from;
    }

    // Ends, as there are always buckets that are not full.
    Spot find(std::uint64_t key, std::uint64_t hash) const {
      for (std::uint32_t at = home(hash);; at = next(at)) {
        const Bucket& bucket = buckets[at];
        const std::uint32_t hits = bucket.hits(key);
        if (hits != 0) return {at, static_cast<std::uint32_t>(std::countr_zero(hits)), true};
        if (!bucket.is_full()) return {at, bucket.used(), false};
      }
    }

    void remove(const Spot& spot) {
      Bucket& bucket = buckets[spot.bucket];
      const bool was_full = bucket.is_full();
      Place& last = bucket.places[bucket.used() - 1];
      bucket.places[spot.place] = last;
      last = {};
      --used;
      if (was_full) refill(spot.bucket);
    }

    void refill(std::uint32_t gap);
  };

  // Linear hashing: there are between `round_` and twice that many segments, and those before the next to be split have
  // been split already.
  std::size_t index_of(std::uint64_t hash) const {
    const std::size_t wide = hash & (2 * round_ - 1);
    return wide < count_ ? wide : wide & (round_ - 1);
  }

  void split_next();
  void grow(Segment& segment);
  void lift(Segment& segment);
  void settle(Segment& segment, std::size_t buckets);
  std::uint32_t limit_of(const Segment& segment) const;

  std::vector<Segment> segments_;
  std::size_t count_ = 1;  // of segments
  std::size_t round_ = 1;  // a power of two
  std::size_t size_ = 0;
  std::size_t split_at_ = 0;
  std::size_t moved_ = 0;
  std::vector<Place> lifted_;  // of a segment that is being moved
};

}  // namespace leakwatch
