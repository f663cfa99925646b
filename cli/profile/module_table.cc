// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/module_table.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

namespace leakwatch {

namespace {

bool starts_before(const Segment& a, const Segment& b) {
  return std::tie(a.start, a.limit, a.file_offset) < std::tie(b.start, b.limit, b.file_offset);
}

bool precedes(const Module& a, const Module& b) {
  const auto name_of_a = std::tie(a.path, a.build_id, a.bias);
  const auto name_of_b = std::tie(b.path, b.build_id, b.bias);
  if (name_of_a != name_of_b) return name_of_a < name_of_b;
  return std::lexicographical_compare(a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
                                      starts_before);
}

Module normalized(Module module) {
  std::sort(module.segments.begin(), module.segments.end(), starts_before);
  if (module.segments.empty()) module.segments.push_back({module.bias, module.bias + 0x1000, 0});
  return module;
}

void sort_and_merge(std::vector<Module>& modules) {
  if (modules.empty()) return;
  const auto others = modules.begin() + 1;
  std::sort(others, modules.end(), precedes);
  modules.erase(std::unique(others, modules.end()), modules.end());
  modules.erase(std::remove(others, modules.end(), modules.front()), modules.end());
}

}  // namespace

ModuleTable::ModuleTable(const ProfileContent& content) {
  std::vector<std::vector<Module>> parts;
  for (const ProfileContent::Part& part : content.parts) {
    parts.emplace_back();
    for (const Module& module : part.modules) parts.back().push_back(normalized(module));
    modules_.insert(modules_.end(), parts.back().begin(), parts.back().end());
  }
  sort_and_merge(modules_);
  for (const std::vector<Module>& part : parts) {
    std::vector<std::uint32_t>& ranks = ranks_.emplace_back();
    for (const Module& module : part) ranks.push_back(rank(module));
  }
}

std::uint32_t ModuleTable::rank(const Module& module) const {
  return static_cast<std::uint32_t>(std::find(modules_.begin(), modules_.end(), module) - modules_.begin());
}

std::string without_deleted(const std::string& path) {
  constexpr std::string_view kDeleted = " (deleted)";
  return path.ends_with(kDeleted) ? path.substr(0, path.size() - kDeleted.size()) : path;
}

}  // namespace leakwatch
