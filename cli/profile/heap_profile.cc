// SPDX-License-Identifier: Apache-2.0
//
// See the header. The columns are those of Go's heap profile, in its order.

#include "cli/profile/heap_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "cli/base/quantity.h"
#include "cli/profile/accuracy.h"

namespace leakwatch {

namespace {

// What stands between the program's own code and malloc in C++, and calls nothing else.
constexpr std::string_view kAllocationFunctions =
    R"(operator new(\[\])?|(std|__gnu_cxx)::(__new_allocator|new_allocator|allocator|allocator_traits)<.*>::allocate|std::_Vector_base<.*>::_M_allocate)";

std::int64_t clamped(std::uint64_t number) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return static_cast<std::int64_t>(std::min(number, kLargest));
}

std::string residency(const HeapSnapshot& snapshot) {
  if (snapshot.resident_bytes == 0) return "The program was gone when this was written.";
  return fmt::format("{} of live heap are seen here; the process held {} of memory in all (RSS).",
                     format_bytes(total(snapshot).inuse_space), format_bytes(clamped(snapshot.resident_bytes)));
}

std::vector<std::string> comments(const HeapSnapshot& snapshot) {
  std::vector<std::string> sentences = {fmt::format("command: {}", snapshot.command)};
  for (std::string& sentence : sampling_sentences(snapshot.sample_interval, snapshot.cost, snapshot.blindness))
    sentences.push_back(std::move(sentence));
  sentences.push_back(residency(snapshot));
  for (std::string& sentence : blindness_sentences(snapshot.blindness)) sentences.push_back(std::move(sentence));
  return sentences;
}

}  // namespace

ProfileContent heap_content(const HeapSnapshot& snapshot, HeapProfileKind kind) {
  constexpr std::size_t kAllocSpace = 1;
  constexpr std::size_t kInuseSpace = 3;
  const bool is_allocs = kind == HeapProfileKind::kAllocs;
  ProfileContent content{.types = {{"alloc_objects", "count"},
                                   {"alloc_space", "bytes"},
                                   {"inuse_objects", "count"},
                                   {"inuse_space", "bytes"}},
                         .period_type = {"space", "bytes"},
                         .period = clamped(snapshot.sample_interval),
                         // Readers show the last column of a heap profile by themselves.
                         .default_type = is_allocs ? "alloc_space" : "",
                         .number_label = {"bytes", "bytes"},
                         .text_label = {},
                         // So that the program's own function is what a reader blames.
                         .drop_frames = kAllocationFunctions,
                         .weight = {kInuseSpace, kAllocSpace},
                         .time_ns = snapshot.time_ns,
                         .duration_ns = 0,
                         .parts = {{snapshot.modules, snapshot.stacks, {}}},
                         .comments = comments(snapshot)};
  if (is_allocs) content.weight = {kAllocSpace, kInuseSpace};
  std::vector<ProfileContent::Sample>& samples = content.parts.front().samples;
  samples.reserve(snapshot.samples.size());
  for (const HeapSample& sample : snapshot.samples) {
    const HeapCounters& c = sample.counters;
    samples.push_back({sample.stack,
                       {c.alloc_objects, c.alloc_space, c.inuse_objects, c.inuse_space},
                       clamped(sample.size_class),
                       {}});
  }
  return content;
}

std::string build_heap_profile(const HeapSnapshot& snapshot, const SymbolLookup& symbols, HeapProfileKind kind) {
  return build_profile(heap_content(snapshot, kind), symbols);
}

}  // namespace leakwatch
