// SPDX-License-Identifier: Apache-2.0
//
// The ids of a profile's locations, and the order of its samples. Both follow from contents alone: locations are
// numbered in the order of their modules and addresses, samples are in the order of their locations and labels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cli/profile/profile_rows.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

class LocationTable {
 public:
  explicit LocationTable(const ProfileRows& rows);

  // In order: a location's id is its index plus one.
  const std::vector<CodeAddress>& addresses() const { return addresses_; }
  bool has_module(std::uint32_t module) const;

  // Of the stack of the row with this index, leaf first.
  std::span<const std::uint32_t> ids(std::size_t row) const {
    return std::span(ids_).subspan(first_id_[row], first_id_[row + 1] - first_id_[row]);
  }

  // Indexes of the rows.
  const std::vector<std::size_t>& order() const { return order_; }

 private:
  void number_stacks(const ProfileRows& rows);
  void renumber_in_order();
  void sort_rows(const ProfileRows& rows);

  std::vector<CodeAddress> addresses_;
  std::vector<std::uint32_t> ids_;     // of all stacks, one after the other
  std::vector<std::size_t> first_id_;  // by row, and the end of the last one
  std::vector<std::size_t> order_;
};

}  // namespace leakwatch
