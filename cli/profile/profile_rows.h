// SPDX-License-Identifier: Apache-2.0
//
// What a profile will hold, before any symbol is looked up: samples with equal stacks and labels summed, those that
// came to nothing left out, the lightest folded where there are too many.
//
// Nobody waits long here, even for 100,000 stacks: two are compared frame by frame only where their hashes are equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cli/profile/module_table.h"
#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

class ProfileRows {
 public:
  struct Row {
    ProfileContent::Values values{};
    std::int64_t number = 0;
    std::string_view text;
    bool is_folded = false;  // many in one: it has no labels
    // Where its stack is.
    std::uint32_t part = 0;
    std::uint32_t stack = 0;
    std::uint64_t hash = 0;
  };

  // Both must outlive the rows.
  ProfileRows(const ProfileContent& content, const ModuleTable& modules);

  // In no particular order, which is the same for the same contents, though.
  const std::vector<Row>& rows() const { return rows_; }

  // The frames of a row, leaf first, at least one. Modules are indexes of the table's.
  StackTrace stack(const Row& row) const;

  // Leaves `limit` rows at most, the one that the others were folded into included. `limit` is not 0.
  void fold(std::size_t limit);

 private:
  void collect();
  void merge();
  bool is_equal(const Row& a, const Row& b) const;
  bool precedes(const Row& a, const Row& b) const;
  bool is_heavier(const Row& a, const Row& b) const;
  const StackTrace& frames(const Row& row) const { return content_.parts[row.part].stacks[row.stack]; }

  const ProfileContent& content_;
  const ModuleTable& modules_;
  std::vector<Row> rows_;
};

// Calls `render` with all rows, then with fewer of them until what it gives has no more bytes than the limit.
template <typename Render>
std::string within_limits(ProfileRows& rows, const ProfileLimits& limits, Render render) {
  rows.fold(limits.samples);
  while (true) {
    std::string bytes = render();
    const std::size_t count = rows.rows().size();
    if (bytes.size() <= limits.bytes || count <= 1) return bytes;
    // A tenth less than what would fit if all rows were alike: it seldom takes a third attempt.
    const double fits = static_cast<double>(limits.bytes) / static_cast<double>(bytes.size());
    const auto fewer = static_cast<std::size_t>(0.9 * fits * static_cast<double>(count));
    rows.fold(fewer > 0 ? fewer : 1);
  }
}

}  // namespace leakwatch
