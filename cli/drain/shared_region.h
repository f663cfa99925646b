// SPDX-License-Identifier: Apache-2.0
//
// The reader's end of the shared memory: makes it, and copies out of it. Nothing that comes from the target is
// believed: every position and length is checked after it was copied, so that a crashed or hostile target spoils its
// own profile and nothing else.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/shared_memory.h"

namespace leakwatch {

struct RegionSettings {
  std::uint64_t sample_interval = std::uint64_t{512} * 1024;  // mean bytes between samples, 1 for every event
  std::uint32_t max_depth = 128;
  std::uint64_t seed = 0;  // 0: chosen by the target
  shared::Clock clock = shared::Clock::kMonotonic;
  // What recording may cost, as a share of the processor time that the target uses. 0: the interval stays.
  double overhead_limit = 0;
};

// The clock that events are stamped with on this machine: the TSC where the processor and the kernel vouch for it.
shared::Clock best_clock();
std::uint64_t now(shared::Clock clock);
std::uint64_t monotonic_ns();

struct RawStack {
  std::uint64_t epoch = 0;
  std::vector<std::uint64_t> addresses;
};

struct RawModule {
  shared::ModuleRecord record{};  // counts within bounds
  std::string path;
};

class SharedRegion {
 public:
  // Throws Error when the kernel refuses the memory.
  explicit SharedRegion(const RegionSettings& settings);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  int descriptor() const { return descriptor_; }  // sealed against shrinking and growing
  void close_descriptor();
  const RegionSettings& settings() const { return settings_; }

  shared::Header& header() { return *header_; }
  shared::Ring& ring(std::uint32_t index) { return rings_[index]; }
  std::uint32_t ring_count() const { return ring_count_; }
  std::uint64_t ring_words() const { return ring_words_; }
  std::uint32_t rings_used() const;  // at most ring_count

  // The sum of a counter over all rings. It may wrap, or fall: it is what the target's threads say.
  std::uint64_t sum(std::atomic<std::uint64_t> shared::Ring::*counter) const;

  std::size_t words_held(std::uint32_t ring) const {
    return std::min(rings_[ring].write_position.load(std::memory_order_relaxed) - read_positions_[ring], ring_words_);
  }
  // Copies what the ring holds from its read position on, `most` words at most: all, or the first of them. When the
  // positions make no sense nothing is copied, and the ring is empty from now on. The room of what was copied is given
  // back to the writer afterwards, so far as it is done with.
  enum class Look { kAll, kFirst, kNonsense };
  Look look_at_words(std::uint32_t ring, std::size_t most, std::vector<std::uint64_t>& words);
  void give_back(std::uint32_t ring, std::size_t words);

  // Nothing when the offset is not that of a whole stack.
  std::optional<RawStack> stack(std::uint32_t offset) const;

  // The records from byte `position` of the module area on, as far as they are published; moves `position`.
  std::vector<RawModule> modules(std::uint64_t& position) const;

 private:
  RegionSettings settings_;
  int descriptor_ = -1;
  char* base_ = nullptr;
  // Copies: the target can write to the header.
  std::uint64_t bytes_ = 0, ring_words_ = 0, words_offset_ = 0, stacks_offset_ = 0, stacks_words_ = 0,
                modules_offset_ = 0, modules_bytes_ = 0;
  std::uint32_t ring_count_ = 0;
  shared::Header* header_ = nullptr;
  shared::Ring* rings_ = nullptr;
  std::vector<std::uint64_t> read_positions_;
};

}  // namespace leakwatch
