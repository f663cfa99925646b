// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/location_table.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_map>

namespace leakwatch {

namespace {

bool precedes(const CodeAddress& a, const CodeAddress& b) {
  return std::tie(a.module, a.address) < std::tie(b.module, b.address);
}

struct HashOfAddress {
  std::size_t operator()(const CodeAddress& address) const {
    return static_cast<std::size_t>((address.address ^ (std::uint64_t{address.module} << 48U)) * 0x9e3779b97f4a7c15);
  }
};

}  // namespace

LocationTable::LocationTable(const ProfileRows& rows) {
  number_stacks(rows);
  renumber_in_order();
  sort_rows(rows);
}

// First in the order in which they come up, which costs one look into a table for each frame.
void LocationTable::number_stacks(const ProfileRows& rows) {
  std::unordered_map<CodeAddress, std::uint32_t, HashOfAddress> numbers;
  for (const ProfileRows::Row& row : rows.rows()) {
    first_id_.push_back(ids_.size());
    for (const CodeAddress& address : rows.stack(row)) {
      const auto [number, is_new] = numbers.try_emplace(address, static_cast<std::uint32_t>(addresses_.size()));
      if (is_new) addresses_.push_back(address);
      ids_.push_back(number->second);
    }
  }
  first_id_.push_back(ids_.size());
}

void LocationTable::renumber_in_order() {
  std::vector<std::uint32_t> order(addresses_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [this](std::uint32_t a, std::uint32_t b) { return precedes(addresses_[a], addresses_[b]); });
  std::vector<std::uint32_t> ids(order.size());
  std::vector<CodeAddress> addresses(order.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    ids[order[i]] = i + 1;
    addresses[i] = addresses_[order[i]];
  }
  addresses_ = std::move(addresses);
  for (std::uint32_t& id : ids_) id = ids[id];
}

void LocationTable::sort_rows(const ProfileRows& rows) {
  order_.resize(rows.rows().size());
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    const std::span<const std::uint32_t> stack_of_a = ids(a);
    const std::span<const std::uint32_t> stack_of_b = ids(b);
    if (!std::ranges::equal(stack_of_a, stack_of_b))
      return std::ranges::lexicographical_compare(stack_of_a, stack_of_b);
    const ProfileRows::Row& row_a = rows.rows()[a];
    const ProfileRows::Row& row_b = rows.rows()[b];
    return std::tie(row_a.number, row_a.text) < std::tie(row_b.number, row_b.text);
  });
}

bool LocationTable::has_module(std::uint32_t module) const {
  const auto first = std::lower_bound(addresses_.begin(), addresses_.end(), CodeAddress{0, module}, precedes);
  return first != addresses_.end() && first->module == module;
}

}  // namespace leakwatch
