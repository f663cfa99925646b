// SPDX-License-Identifier: Apache-2.0
//
// Frees that found no block, in an exact session: an untimed one (shared_memory.h, kUntimedFree) may be read before its
// block's allocation. Each waits for the next allocation at its address, as long as one may still come that happened
// before it; after that, it was of a block that nobody knows.
//
// Which free is whose does not matter: what is alive at an address is what its last allocation left, if there were more
// of these than frees.
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
  // Beyond what any program can bring about between two looks: overwritten memory.
  bool are_too_many() const { return order_.size() >= kMost; }

  std::size_t addresses() const { return at_.size(); }  // where frees wait

  void add(std::uint64_t address) {
    At& at = at_[address];
    ++at.count;
    at.looked = *looked_;
    order_.push_back({address, *looked_});
  }

  // One is done with, if there is one. True when it was the address's last.
  bool take(std::uint64_t address) {
    const auto place = at_.find(address);
    if (place == at_.end() || --place->second.count != 0) return false;
    at_.erase(place);
    return true;
  }

  // Whatever was stamped by `until` has come. Calls give_up(address, how many frees) where nothing can come any more.
  template <class GiveUp>
  void settle(std::uint64_t until, GiveUp&& give_up) {
    for (; !order_.empty() && order_.front().looked <= until; order_.pop_front()) {
      const auto place = at_.find(order_.front().address);
      // Done with, or younger ones wait there too.
      if (place == at_.end() || place->second.looked != order_.front().looked) continue;
      give_up(place->first, place->second.count);
      at_.erase(place);
    }
  }
  // The same of the oldest ones.
  template <class GiveUp>
  void settle_oldest(GiveUp&& give_up) {
    if (!order_.empty()) settle(order_.front().looked, give_up);
  }

 private:
  static constexpr std::size_t kMost = std::size_t{1} << 20;
  struct At {
    std::uint64_t count = 0;
    std::uint64_t looked = 0;  // of the youngest
  };
  struct Waiting {
    std::uint64_t address;
    std::uint64_t looked;
  };

  std::optional<std::uint64_t> looked_;
  std::unordered_map<std::uint64_t, At, SegmentedTable::Hash> at_;  // by address
  std::deque<Waiting> order_;                                       // as they came, those that are done with too
};

}  // namespace leakwatch
