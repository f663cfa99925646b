// SPDX-License-Identifier: Apache-2.0
//
// A hash table for very many small values, each of which is looked for at random: 56-bit keys, 64 bits of value, 16
// bytes a place. It is where the reader of a large heap spends its time and its memory, so:
//
//   A look touches one cache line in nine of ten cases, and the caller may ask for that line ahead of time. The places
//   are in buckets of a line; a value that finds its own bucket full goes to the next one that is not, and each bucket
//   counts the values that went past it: so a look ends where nobody did. All four places of a bucket are looked at at
//   once, since a branch for each would be guessed wrong half of the time.
//
//   It grows without a pause and without being there twice. The buckets are in segments of one size, and the segments
//   come in groups: two of them give a third of what they hold to a third one, and later those three a quarter to a
//   fourth (linear hashing by partial expansions); four are two groups of two. Each group has its turn, and the whole
//   is as full as ever: not quite half, where those that come next have up to one and a half times as much.
//
//   Where a value belongs is computed from its hash and from the number of segments alone: there is no directory to
//   look at, and a large table is in huge pages, if the kernel has them.
//
//   Removal empties the place, and takes back the counts: nothing is moved, there are no tombstones, and a table that
//   shrank is as good as new.
//
// On the whole, 35 bytes a value.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace leakwatch {

// Drawn once in the life of this process.
extern const std::uint64_t kHashSecret;

class SegmentedTable {
 public:
  struct Place {
    std::uint64_t head = 0;  // the key, and 8 bits that are the table's: 0 whenever a caller sees them
    std::uint64_t tail = 0;  // the value
    std::uint64_t key() const { return head >> 8; }
  };

  static constexpr std::uint32_t kPlaces = 4;  // of a bucket

  // The lowest 8 bits of the first head count the values that went past this bucket. Those of the second say which
  // places are taken, a bit for each.
  struct alignas(64) Bucket {
    Place places[kPlaces];

    std::uint32_t passed() const { return places[0].head & kNoKey; }
    std::uint32_t taken() const { return places[1].head & kNoKey; }
    bool is_full() const { return taken() == kAllTaken; }

    std::uint32_t first_empty() const { return static_cast<std::uint32_t>(std::countr_one(taken())); }
    // Which place has the key, if any has. Written out, as -O2 leaves loops over four what they are.
    std::uint32_t candidate(std::uint64_t head) const {
      return std::uint32_t{has(1, head)} + 2 * std::uint32_t{places[2].head == head} +
             3 * std::uint32_t{places[3].head == head};
    }
    bool has(std::uint32_t place, std::uint64_t head) const { return (places[place].head ^ head) <= kNoKey; }

    // What would be counted beyond the most is never forgotten until the segment is filled anew.
    void pass() { places[0].head += passed() < kMostPassed; }
    void unpass() { places[0].head -= passed() < kMostPassed; }
    void fill(std::uint32_t place, const Place& with) {
      places[place].head |= with.head;
      places[place].tail = with.tail;
      places[1].head |= std::uint64_t{1} << place;
    }
    void empty(std::uint32_t place) {
      places[place].head &= kNoKey;
      places[1].head &= ~(std::uint64_t{1} << place);
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
  struct Hash {  // for tables of others
    std::size_t operator()(std::uint64_t key) const { return hash_of(key); }
  };

  // So many values may be put without a home's being another one afterwards. True when homes are others now than they
  // were before.
  bool make_room(std::size_t values) {
    if (size_ + values <= limit_) [[likely]]
      return false;
    while (size_ + values > limit_) grow();
    return true;
  }

  // The bucket where a value belongs.
  [[gnu::always_inline]] Bucket* home(std::uint64_t hash) const {
    return begin_of(segment_of(hash)) + (hash >> home_shift_);
  }
  // Has the bucket's line come into the processor's cache while something else is being done; and a little later, when
  // it is there, the line after it if that will be looked at as well, which is the result; and later still, of those,
  // the next one. Inline, all the way up: g++ 12 leaves out calls of a function that does nothing else.
  [[gnu::always_inline]] static void prefetch(const Bucket* home) { __builtin_prefetch(home, 1); }
  [[gnu::always_inline]] static bool prefetch_next(const Bucket* home) {
    const bool is_full = home->is_full(), is_passed = home->passed() != 0, goes_on = is_full | is_passed;
    __builtin_prefetch(home + goes_on, 1);
    return goes_on;
  }
  [[gnu::always_inline]] void prefetch_after_next(Bucket* home) const { prefetch_next(next(home)); }

  // The value of the key, if it is at home; any value if not. Of key 0, which is nowhere, all empty places are
  // candidates.
  static std::uint64_t likely_value(const Bucket* home, std::uint64_t key) {
    return home->places[home->candidate(key << 8) & (kPlaces - 1)].tail;
  }

  // The home of a key is to be there for find().
  void prefetch_key(std::uint64_t key) const { prefetch(home(hash_of(key))); }

  // Null when the key is not there. The key is not 0, here and below. Valid until the table is changed.
  const std::uint64_t* find(std::uint64_t key, std::uint64_t hash) const;

  // Puts the place under its key, and returns what was there before; an empty one when there was none.
  Place put(const Place& place, std::uint64_t hash) {
    make_room(1);
    return put_at(home(hash), place);
  }
  // Takes the place of the key out; an empty one when there was none.
  Place take(std::uint64_t key, std::uint64_t hash) { return take_at(home(hash), key); }

  // The same of a home that is known, with room made.
  Place put_at(Bucket* home, Place place) {
    return put_or_take_at(home, place, true) ? Place{} : put_slowly(home, place);
  }
  Place take_at(Bucket* home, std::uint64_t key) {
    Place place{key << 8, 0};
    return put_or_take_at(home, place, false) ? place : take_beside(home, key);
  }
  // One of the two; a value that is taken is put into `place`. False, and nothing is done, when it is not as simple as
  // it mostly is, because there is something to replace, nothing to take, or something beside the table.
  bool put_or_take_at(Bucket* home, Place& place, bool is_put) {
    return put_or_take_home(home, place, is_put) || put_or_take_further(home, place, is_put);
  }

 private:
  static constexpr std::uint64_t kNoKey = 0xff;  // of a head
  static constexpr std::uint32_t kMostPassed = 0xff;
  static constexpr std::uint32_t kAllTaken = (1u << kPlaces) - 1;
  static constexpr std::size_t kSegmentBuckets = 512;
  static constexpr std::size_t kSegmentsInChunk = 64;
  static constexpr std::size_t kChunkBytes = kSegmentsInChunk * kSegmentBuckets * sizeof(Bucket);
  static_assert(kChunkBytes == std::size_t{2} << 20);  // a huge page
  // A new table has segments of so many buckets. A value goes past no more than that: it is kept beside the table then.
  static constexpr std::size_t kFirstBuckets = 32;
  static constexpr std::size_t kMostProbes = kFirstBuckets;

  // Round `round_` has that many groups. Of its four segments a group has the first two at the beginning and all at the
  // end. Bits of the hash from the 24th on are the number of the group; the one above them chooses one of two segments,
  // and with the next one, of four; one of three is chosen by others. Not the lowest: a bit of the hash knows none of
  // the key's that are more than 32 places above it.
  static std::uint64_t segment_bits(std::uint64_t hash) { return hash >> 24; }
  std::size_t segment_of(std::uint64_t hash) const {
    const std::size_t bits = segment_bits(hash), group = bits & (round_ - 1);
    const std::size_t of_two_or_four = bits & even_mask_;
    const std::size_t of_three = group + ((hash & 0xff) * 3 >> 8 << round_bits_);
    // A mask, as a branch would be guessed wrong.
    const std::size_t has_three = -std::size_t{group < grown_} ^ before_grown_;
    return of_two_or_four ^ ((of_two_or_four ^ of_three) & has_three);
  }

  Bucket* next(Bucket* bucket) const {
    const std::size_t segment_bytes = buckets_ * sizeof(Bucket);  // and it begins at a multiple of that
    const bool is_last = (reinterpret_cast<std::uintptr_t>(bucket + 1) & (segment_bytes - 1)) == 0;
    return bucket + 1 - (is_last ? buckets_ : 0);
  }

  // Without a branch on which of the two: that is hard to guess.
  bool put_or_take_home(Bucket* home, Place& place, bool is_put) {
    const std::uint32_t empty = home->first_empty(), known = home->candidate(place.head);
    const bool is_known = home->has(known, place.head), is_free = (empty != kPlaces) & (home->passed() == 0);
    if (is_put ? is_known | !is_free : !is_known) [[unlikely]]
      return false;
    const std::uint32_t which = is_put ? empty : known;
    Place& at = home->places[which];
    place.tail = is_put ? place.tail : at.tail;
    at.tail = place.tail;
    at.head = (at.head & kNoKey) | (is_put ? place.head : 0);
    home->places[1].head ^= std::uint64_t{1} << which;
    size_ += is_put ? std::size_t{1} : -std::size_t{1};
    return true;
  }
  // Where that was false.
  bool put_or_take_further(Bucket* home, Place& place, bool is_put);

  struct Spot {  // where a key is
    Bucket* bucket = nullptr;
    std::uint32_t place = 0;
    std::size_t passed = 0;  // buckets before it
  };
  Spot search(Bucket* home, std::uint64_t head) const;
  Place put_slowly(Bucket* home, const Place& place);
  Place take_beside(Bucket* home, std::uint64_t key);
  void add(Bucket* home, const Place& place);
  void unpass(Bucket* home, std::size_t count);

  void grow();
  void lift(std::size_t segment);
  void lift_beside(std::size_t group);
  void add_chunk();
  void set_sizes();
  Bucket* begin_of(std::size_t segment) const {
    return chunks_[segment / kSegmentsInChunk] + (segment % kSegmentsInChunk << (64 - home_shift_));
  }

  std::vector<Bucket*> chunks_;
  std::size_t buckets_ = kFirstBuckets;                    // of a segment
  int home_shift_ = 64 - std::countr_zero(kFirstBuckets);  // leaves the bits of a hash that choose one of them
  std::size_t count_ = 2;                                  // of segments
  std::size_t round_ = 1;                                  // a power of two
  int round_bits_ = 0;
  std::size_t grown_ = 0;         // so many groups have one segment more than the others
  std::size_t even_mask_ = 1;     // of the segments of a group that has two, or, where the others have three, four
  std::size_t before_grown_ = 0;  // all ones where it is the others that have three
  std::size_t size_ = 0;
  std::size_t limit_ = 0;  // of size_
  std::size_t moved_ = 0;
  std::vector<Place> lifted_;                                      // of segments that are being filled anew
  std::unordered_map<std::uint64_t, std::uint64_t, Hash> beside_;  // key -> value
};

}  // namespace leakwatch
