// SPDX-License-Identifier: Apache-2.0
//
// The few questions about a snapshot that more than one reader of it asks: its sum, and what to call an address that
// stands in no file. Profiles and reports must use the same words, or a reader cannot go from one to the other. Nothing
// here looks anything up.
#include "cli/state/snapshot.h"

#include <fmt/format.h>

#include "proto/shared_memory.h"

namespace leakwatch {

static_assert(kNotRecordedMark > shared::kLastMark, "marks of our own are none that a target may send");

HeapCounters total(const HeapSnapshot& snapshot) {
  HeapCounters sum;
  for (const HeapSample& sample : snapshot.samples) sum += sample.counters;
  return sum;
}

bool is_mark(std::uint64_t address) {
  return (address > 0 && address <= kNotRecordedMark) || (address >= kMainThreadMark && address <= kFoldedMark);
}

std::string_view name_without_module(const CodeAddress& address) {
  if (address.module != CodeAddress::kMarkFrame) return "[unknown code]";
  if (address.address == static_cast<std::uint64_t>(shared::Mark::kTruncated)) return "[leakwatch: deeper frames cut]";
  if (address.address == kNotRecordedMark) return kStackNotRecorded;
  if (address.address == kMainThreadMark) return "[leakwatch: main thread]";
  if (address.address == kUnseenCreatorMark) return "[leakwatch: creator not seen]";
  if (address.address == kFoldedMark) return "[leakwatch: folded]";
  return "[leakwatch: unknown caller]";
}

std::string name_by_offset(const Module& module, std::uint64_t address) {
  return fmt::format("{}+{:#x}", module.path.substr(module.path.rfind('/') + 1), address);
}

}  // namespace leakwatch
