// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/profile_rows.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace leakwatch {

namespace {

constexpr CodeAddress kNotRecorded{kNotRecordedMark, CodeAddress::kMarkFrame};
constexpr CodeAddress kFolded{kFoldedMark, CodeAddress::kMarkFrame};

// A target can claim anything: sums stop at the largest number.
void add(ProfileContent::Values& sum, const ProfileContent::Values& values) {
  for (std::size_t i = 0; i < sum.size(); ++i) {
    if (!__builtin_add_overflow(sum[i], values[i], &sum[i])) continue;
    sum[i] = values[i] > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
  }
}

bool is_zero(const ProfileContent::Values& values) {
  return values == ProfileContent::Values{};
}

std::uint64_t magnitude(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return number < 0 ? 0 - bits : bits;
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t more) {
  hash = (hash ^ more) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}

}  // namespace

ProfileRows::ProfileRows(const ProfileContent& content, const ModuleTable& modules)
    : content_(content), modules_(modules) {
  collect();
  merge();
}

void ProfileRows::collect() {
  // Measured from where the module is, so that two runs of a program fold the same stacks.
  const auto add_address = [this](std::uint64_t hash, std::size_t part, const CodeAddress& address) {
    const CodeAddress known = modules_.translate(part, address);
    const bool is_in_module = known.module < CodeAddress::kMarkFrame;
    const std::uint64_t bias = is_in_module ? modules_.modules()[known.module].bias : 0;
    return mixed(hash, (known.address - bias) + (std::uint64_t{known.module} << 48U));
  };
  for (std::uint32_t part = 0; part < content_.parts.size(); ++part) {
    const StackList& stacks = content_.parts[part].stacks;
    for (const ProfileContent::Sample& sample : content_.parts[part].samples) {
      if (is_zero(sample.values)) continue;
      std::uint64_t hash = 0;
      for (const CodeAddress& address : stacks.at(sample.stack)) hash = add_address(hash, part, address);
      rows_.push_back({sample.values, sample.number, sample.text, false, part, sample.stack, hash});
    }
  }
}

void ProfileRows::merge() {
  std::sort(rows_.begin(), rows_.end(), [this](const Row& a, const Row& b) { return precedes(a, b); });
  auto end = rows_.begin();
  for (auto row = rows_.begin(); row != rows_.end();) {
    Row sum = *row;
    for (++row; row != rows_.end() && is_equal(sum, *row); ++row) add(sum.values, row->values);
    if (!is_zero(sum.values)) *end++ = sum;
  }
  rows_.erase(end, rows_.end());
}

bool ProfileRows::is_equal(const Row& a, const Row& b) const {
  return a.hash == b.hash && !precedes(a, b) && !precedes(b, a);
}

bool ProfileRows::precedes(const Row& a, const Row& b) const {
  const auto labels = [](const Row& row) { return std::tie(row.hash, row.number, row.text); };
  if (labels(a) != labels(b)) return labels(a) < labels(b);
  if (a.part == b.part && a.stack == b.stack) return false;
  const StackTrace stack_of_a = stack(a);
  const StackTrace stack_of_b = stack(b);
  return std::lexicographical_compare(stack_of_a.begin(), stack_of_a.end(), stack_of_b.begin(), stack_of_b.end(),
                                      [](const CodeAddress& x, const CodeAddress& y) {
                                        return std::tie(x.module, x.address) < std::tie(y.module, y.address);
                                      });
}

StackTrace ProfileRows::stack(const Row& row) const {
  if (row.is_folded) return {kFolded};
  const StackTrace& original = frames(row);
  if (original.empty()) return {kNotRecorded};
  StackTrace stack;
  stack.reserve(original.size());
  for (const CodeAddress& address : original) stack.push_back(modules_.translate(row.part, address));
  return stack;
}

bool ProfileRows::is_heavier(const Row& a, const Row& b) const {
  if (a.is_folded != b.is_folded) return b.is_folded;
  for (const std::size_t type : content_.weight) {
    const std::uint64_t weight_of_a = magnitude(a.values[type]);
    const std::uint64_t weight_of_b = magnitude(b.values[type]);
    if (weight_of_a != weight_of_b) return weight_of_a > weight_of_b;
  }
  return precedes(a, b);
}

void ProfileRows::fold(std::size_t limit) {
  if (rows_.size() <= limit) return;
  const auto kept = rows_.begin() + static_cast<std::ptrdiff_t>(limit) - 1;
  std::nth_element(rows_.begin(), kept, rows_.end(), [this](const Row& a, const Row& b) { return is_heavier(a, b); });
  Row folded;
  folded.is_folded = true;
  for (auto row = kept; row != rows_.end(); ++row) add(folded.values, row->values);
  rows_.erase(kept, rows_.end());
  if (!is_zero(folded.values)) rows_.push_back(folded);
}

}  // namespace leakwatch
