// SPDX-License-Identifier: Apache-2.0
//
// Frees that found no block, in an exact session: an untimed one (shared_memory.h, kUntimedFree) may be read before its
// block's allocation. Each waits for the next allocation at its address, as long as one may still come that happened
// before it; after that, it was of a block that nobody knows.
//
// Which free is whose does not matter: what is alive at an address is what its last allocation left, if there were more
// of these than frees. Where a free is of no known block, though, an allocation that came right after it, at the same
// address and before the rings were looked at, is taken for its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

#include "cli/segmented_table.h"

namespace leakwatch {

class EarlyFrees {
 public:
  // From now on, those that come were published by `looked`, so their allocations were stamped by then. Without it,
  // none comes early.
  void expect(std::optional<std::uint64_t> looked) { looked_ = looked; }
  bool are_expected() const { return looked_.has_value(); }
  // Far beyond what a program can bring about between two looks: overwritten memory.
  bool are_too_many() const { return at_.size() >= kMost; }

  std::size_t addresses() const { return at_.size(); }  // where frees wait

  void add(std::uint64_t address) {
    At& at = at_[address];
    if (at.count++ != 0 && at.looked == *looked_) return;
    at.looked = *looked_;
    order_.push_back({address, *looked_});
    if (order_.size() > most_looks_) forget_done();
  }

  // An allocation is there. One free is done with; true when it was the address's last.
  bool take(std::uint64_t address) {
    const auto place = at_.find(address);
    if (place == at_.end() || --place->second.count != 0) return false;
    at_.erase(place);
    return true;
  }

  // An allocation of that time is there: 0, or how many frees waited for none so late, and are given up.
  std::uint64_t give_up_before(std::uint64_t time, std::uint64_t address) {
    const auto place = at_.find(address);
    if (place == at_.end() || place->second.looked >= time) return 0;
    const std::uint64_t count = place->second.count;
    at_.erase(place);
    return count;
  }

  // Whatever was stamped by `until` has come. Calls give_up(address, how many frees) where nothing can come any more.
  template <class GiveUp>
  void settle(std::uint64_t until, GiveUp&& give_up) {
    for (; !order_.empty() && order_.front().looked <= until; order_.pop_front()) {
      if (is_done(order_.front())) continue;
      const auto place = at_.find(order_.front().address);
      give_up(place->first, place->second.count);
      at_.erase(place);
    }
  }
  std::uint64_t oldest() const { return order_.empty() ? 0 : order_.front().looked; }  // until when to settle for these

 private:
  static constexpr std::size_t kMost = std::size_t{1} << 20;
  static constexpr std::size_t kFewLooks = 1024;
  struct At {
    std::uint64_t count = 0;
    std::uint64_t looked = 0;  // of the youngest
  };
  struct Look {
    std::uint64_t address;
    std::uint64_t looked;
  };
  // Nobody waits there, or younger ones do.
  bool is_done(const Look& look) const {
    const auto place = at_.find(look.address);
    return place == at_.end() || place->second.looked != look.looked;
  }

  // Where it finds little, it is not done again soon.
  void forget_done() {
    std::erase_if(order_, [this](const Look& look) { return is_done(look); });
    most_looks_ = 2 * order_.size() + kFewLooks;
  }

  std::optional<std::uint64_t> looked_;
  std::unordered_map<std::uint64_t, At, SegmentedTable::Hash> at_;  // by address
  std::deque<Look> order_;                                          // as they came, and some that are done with
  std::size_t most_looks_ = kFewLooks;
};

}  // namespace leakwatch
