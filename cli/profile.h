// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a pprof profile out of samples, stacks and symbols, whatever they count. The only includer of protobuf
// and zlib.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/snapshot.h"
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
    std::uint32_t stack = 0;  // indexes `stacks`; an empty stack is one that was not recorded
    Values values{};          // one for each of `types`, zero beyond; all zero: left out
    std::int64_t number = 0;  // of number_label
    std::string text;         // of text_label, empty for none
  };

  std::vector<Type> types;
  Type period_type;
  std::int64_t period = 0;
  std::string_view default_type;       // empty: the reader's choice, which is the last one
  Type number_label;                   // a label on each sample; no name: none
  std::string_view text_label;         // likewise
  std::string_view drop_frames;        // regular expression: readers hide such functions, and what they call
  std::int64_t time_ns = 0;            // CLOCK_REALTIME
  std::int64_t duration_ns = 0;        // 0 for a moment, the difference for a delta
  const std::vector<Module>& modules;  // [0] is the main executable
  const std::vector<StackTrace>& stacks;
  std::vector<Sample> samples;
  std::vector<std::string> comments;
};

// Uncompressed profile.proto bytes. The same content gives the same bytes, whatever the order of its samples, stacks
// and modules (but for modules[0]).
std::string build_profile(const ProfileContent& content, const SymbolLookup& symbols);

// gzip with no name and no time in its header: equal input, equal output.
std::string gzip(const std::string& bytes);

}  // namespace leakwatch
