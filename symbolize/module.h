// SPDX-License-Identifier: Apache-2.0
//
// A module: one file with code, as it is mapped in a process. Values only, and the one rule by which two of them are
// taken for the same file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leakwatch {

// An executable PT_LOAD at run time: addresses [start, limit), the bytes of the file from file_offset on.
struct Segment {
  std::uint64_t start = 0;
  std::uint64_t limit = 0;
  std::uint64_t file_offset = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

// Program headers are exact to the byte; the process's map, and so a profile, has whole pages. Nothing when the segment
// makes no sense.
inline std::optional<Segment> in_whole_pages(const Segment& exact) {
  constexpr std::uint64_t kPageMask = 4095;
  const std::uint64_t before = exact.start & kPageMask;
  if (exact.start >= exact.limit || exact.limit > ~kPageMask || exact.file_offset < before) return std::nullopt;
  return Segment{exact.start - before, (exact.limit + kPageMask) & ~kPageMask, exact.file_offset - before};
}

struct Module {
  std::string path;        // absolute, as the process itself names it; "[vdso]" for the kernel's
  std::string build_id;    // lower-case hex, empty when the file has none
  std::uint64_t bias = 0;  // run-time address minus the address in the file's own headers
  std::vector<Segment> segments;
  friend bool operator==(const Module&, const Module&) = default;
};

// What symbols are remembered by: path and build id, so that one file mapped at two places is looked up once. A module
// that has neither is only itself where it is mapped.
inline std::string module_identity(const Module& module) {
  std::string identity = module.path + '\0' + module.build_id;
  if (!module.path.empty() || !module.build_id.empty()) return identity;
  for (const Segment& segment : module.segments) {
    for (const std::uint64_t value : {segment.start, segment.limit, segment.file_offset}) {
      identity += '\0' + std::to_string(value);
    }
  }
  return identity;
}

}  // namespace leakwatch
