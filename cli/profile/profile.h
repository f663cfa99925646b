// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a pprof profile out of samples, stacks and symbols, whatever they count. The only includer of protobuf.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cli/state/snapshot.h"
#include "symbolize/symbolizer.h"

namespace leakwatch {

// How the profile builder asks for symbols: `address` is in the file's own address space.
struct SymbolLookup {
  std::function<const std::vector<Frame>&(const Module&, std::uint64_t address)> frames;
  std::function<SymbolSource(const Module&)> source;
};

struct ProfileContent {
  struct Type {
    std::string_view name;
    std::string_view unit;
  };
  static constexpr std::size_t kMostTypes = 4;  // a scraper's delta breaks above that
  using Values = std::array<std::int64_t, kMostTypes>;

  struct Sample {
    std::uint32_t stack = 0;  // indexes the part's `stacks`; an empty stack is one that was not recorded
    Values values{};          // one for each of `types`, zero beyond
    std::int64_t number = 0;  // of number_label
    std::string text;         // of text_label, empty for none
  };

  // Samples of one snapshot, which must outlive the content. Of all parts together, samples with equal stacks and
  // labels are one, with the sum of their values; where all values are zero it is left out.
  struct Part {
    const std::vector<Module>& modules;  // [0] is the main executable
    const StackList& stacks;
    std::vector<Sample> samples;
  };

  std::vector<Type> types;
  Type period_type;
  std::int64_t period = 0;
  std::string_view default_type;    // empty: the reader's choice, which is the last one
  Type number_label;                // a label on each sample; no name: none
  std::string_view text_label;      // likewise
  std::string_view drop_frames;     // regular expression: readers hide such functions, and what they call
  std::vector<std::size_t> weight;  // indexes of `types`, the weightiest first: which samples are folded last
  std::int64_t time_ns = 0;         // CLOCK_REALTIME
  std::int64_t duration_ns = 0;     // 0 for a moment, the difference for a delta
  std::vector<Part> parts;
  std::vector<std::string> comments;
};

// What is above a limit is folded: the lightest samples become one, with the stack `[leakwatch: folded]`. Totals stay
// what they are.
struct ProfileLimits {
  std::size_t samples = std::numeric_limits<std::size_t>::max();
  std::size_t bytes = std::numeric_limits<std::size_t>::max();  // before gzip
};

// A file on a disk has no limits. This is what a store of profiles takes by default; and of text, what somebody reads.
inline constexpr ProfileLimits kServedLimits{16'000, std::size_t{4} << 20};
inline constexpr ProfileLimits kTextLimits{4'000, std::size_t{4} << 20};

// Uncompressed profile.proto bytes. The same content gives the same bytes, whatever the order of its samples, stacks
// and modules (but for the first part's modules[0]).
std::string build_profile(const ProfileContent& content, const SymbolLookup& symbols, const ProfileLimits& limits = {});

}  // namespace leakwatch
