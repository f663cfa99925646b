// SPDX-License-Identifier: Apache-2.0
//
// See the header. A stack of epoch e belongs, per address, to the newest module that covers it and was announced at or
// before e; an announcement can also be a little younger than the stack that caused it, so the oldest younger one
// serves when there is no older.

#include "cli/drain/module_map.h"

#include "symbolize/file_identity.h"

namespace leakwatch {

namespace {

bool is_vdso(const std::string& path) {
  return path.starts_with("linux-vdso") || path.starts_with("linux-gate");
}

Module to_module(const RawModule& raw, const std::string& folder) {
  Module module;
  if (is_vdso(raw.path))
    module.path = "[vdso]";
  else if (raw.path.empty() || raw.path[0] == '/')
    module.path = raw.path;
  else
    module.path = folder + "/" + raw.path;
  module.build_id = build_id_text(raw.record.build_id, raw.record.build_id_size);
  module.bias = raw.record.bias;
  for (std::uint32_t i = 0; i < raw.record.segment_count; ++i) {
    const shared::Segment& segment = raw.record.segments[i];
    if (const auto pages = in_whole_pages({segment.start, segment.limit, segment.file_offset}))
      module.segments.push_back(*pages);
  }
  return module;
}

}  // namespace

ModuleMap::ModuleMap(Module executable, std::string folder) : folder_(std::move(folder)) {
  for (const Segment& segment : executable.segments) ranges_.push_back({segment.start, segment.limit, 0, 0});
  modules_.push_back(std::move(executable));
}

void ModuleMap::add(const RawModule& raw) {
  Module module = to_module(raw, folder_);
  if (module.path.empty()) {
    learn_executable(std::move(module));
    ranges_.push_back({raw.record.start, raw.record.limit, raw.record.epoch, 0});
    return;
  }
  for (std::uint32_t i = 0; i < modules_.size(); ++i) {
    if (modules_[i] != module) continue;  // closed and opened again at the same place
    ranges_.push_back({raw.record.start, raw.record.limit, raw.record.epoch, i});
    return;
  }
  ranges_.push_back(
      {raw.record.start, raw.record.limit, raw.record.epoch, static_cast<std::uint32_t>(modules_.size())});
  modules_.push_back(std::move(module));
}

// The target's loader names the pieces of an executable with gaps between its segments one by one; only the piece with
// the ELF header tells more than its place.
void ModuleMap::learn_executable(Module announced) {
  if (announced.segments.empty()) return;
  announced.path = modules_[0].path;
  modules_[0] = std::move(announced);
}

CodeAddress ModuleMap::locate(std::uint64_t raw, std::uint64_t epoch) const {
  if (raw <= shared::kLastMark) return {raw, CodeAddress::kMarkFrame};
  const bool interrupted = (raw & shared::kInterruptedFrame) != 0;
  const std::uint64_t address = interrupted ? raw & ~shared::kInterruptedFrame : raw - 1;
  const Range* best = nullptr;
  for (const Range& range : ranges_) {  // in order of announcement
    if (address < range.start || address >= range.limit) continue;
    if (best == nullptr || range.epoch <= epoch) best = &range;
  }
  return {address, best == nullptr ? CodeAddress::kNoModule : best->module};
}

StackTrace ModuleMap::locate(const RawStack& stack) const {
  StackTrace trace;
  trace.reserve(stack.addresses.size());
  for (const std::uint64_t raw : stack.addresses) trace.push_back(locate(raw, stack.epoch));
  return trace;
}

}  // namespace leakwatch
