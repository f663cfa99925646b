// SPDX-License-Identifier: Apache-2.0
//
// What a session knew at one moment: plain values, copied out of the state so that everything after this point works
// while draining goes on. Nothing here knows how it was gathered or what it will be written as.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cli/state/stack_list.h"
#include "symbolize/module.h"

namespace leakwatch {

// Cumulative and live estimates of one site; exact when sampling is off. Bytes are those that the program asked for.
struct HeapCounters {
  std::int64_t alloc_objects = 0;
  std::int64_t alloc_space = 0;
  std::int64_t inuse_objects = 0;
  std::int64_t inuse_space = 0;

  // Stops at the largest number: a target can claim anything.
  HeapCounters& operator+=(const HeapCounters& other) {
    add(alloc_objects, other.alloc_objects);
    add(alloc_space, other.alloc_space);
    add(inuse_objects, other.inuse_objects);
    add(inuse_space, other.inuse_space);
    return *this;
  }
  friend bool operator==(const HeapCounters&, const HeapCounters&) = default;

 private:
  static void add(std::int64_t& sum, std::int64_t more) {
    if (__builtin_add_overflow(sum, more, &sum)) sum = std::numeric_limits<std::int64_t>::max();
  }
};

// Frames that no target sends, as CodeAddress of kMarkFrame.
inline constexpr std::uint64_t kNotRecordedMark = 3;     // the whole of a stack that was not recorded
inline constexpr std::uint64_t kMainThreadMark = 16;     // the creator of the first thread
inline constexpr std::uint64_t kUnseenCreatorMark = 17;  // made by raw clone, or before we came
inline constexpr std::uint64_t kFoldedMark = 18;         // many stacks, for which a profile had no room

// One of these, or of those that a target sends.
bool is_mark(std::uint64_t address);

struct HeapSample {
  std::uint32_t stack = 0;       // indexes Snapshot::stacks
  std::uint64_t size_class = 0;  // upper bound of the class in bytes: the label `bytes`
  HeapCounters counters;
};

// What the profile does not show. Each becomes a comment when it is not zero or empty.
struct Blindness {
  std::uint64_t lost_allocations = 0;  // happened under pressure, not recorded
  std::uint64_t lost_frees = 0;
  std::uint64_t unknown_frees = 0;    // of blocks older than the session or of lost allocations
  std::uint64_t stacks_refused = 0;   // events whose stack did not fit the table
  std::uint64_t modules_refused = 0;  // announcements of libraries that did not fit their area
  std::uint64_t bad_records = 0;      // refused because they made no sense
  std::int64_t joined_ns = 0;      // CLOCK_REALTIME when leakwatch joined a program that ran already; 0: from its start
  std::string ended;               // why and when recording stopped before the program did
  std::vector<std::string> notes;  // from before the start: allocators linked in, and the like
};

// What it took to see all this. Of a sampled session; all zero when it was exact, or is too young to know.
struct RecordingCost {
  std::uint64_t target_ns = 0;     // inside of the target, but for what its calls do that are no samples
  std::uint64_t reader_ns = 0;     // processor time of leakwatch's that reading it took
  std::uint64_t processor_ns = 0;  // that the target used meanwhile
  // How the sampling interval was steered to keep the former two under a share of the latter.
  double limit = 0;  // that share; 0: the interval stays
  std::uint64_t smallest_interval = 0, largest_interval = 0;
};

struct HeapSnapshot {
  std::int64_t time_ns = 0;           // CLOCK_REALTIME
  std::uint64_t sample_interval = 1;  // mean bytes between samples, at this moment; 1 when exact
  std::uint64_t resident_bytes = 0;   // the target's RSS, 0 when it is gone
  std::vector<Module> modules;        // [0] is the main executable
  StackList stacks;
  std::vector<HeapSample> samples;
  Blindness blindness;
  RecordingCost cost;
  std::string command;  // the program's command line, for people
};

// Sum over all samples.
HeapCounters total(const HeapSnapshot& snapshot);

// What a reader is shown where there is no function to name. A stack without any frame is one that the full table
// refused.
inline constexpr std::string_view kStackNotRecorded = "[leakwatch: stack not recorded]";

// The name of an address whose `module` is kNoModule or kMarkFrame.
std::string_view name_without_module(const CodeAddress& address);

// "libfoo.so+0x1a2b": a place in a file of which nothing better is known. `address` is in the file's own address space.
std::string name_by_offset(const Module& module, std::uint64_t address);

}  // namespace leakwatch
