// SPDX-License-Identifier: Apache-2.0
//
// Frees that found no block, in an exact session: an untimed one (shared_memory.h, kUntimedFree) may be read before its
// block's allocation. Each waits for the next allocation at its address, as long as one may still come that happened
// before it; after that, it was of a block that nobody knows.
//
// While any free waits, each allocation has to ask whether it is the one. It hardly ever is, so there is a filter that
// stays in the processor's cache: at how many addresses of a class frees wait.
//
// Which free is whose does not matter: what is alive at an address is what its last allocation left, if there were more
// of these than frees. Where a free is of no known block, though, an allocation that came right after it, at the same
// address and before the rings were looked at, is taken for its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

#include "cli/state/segmented_table.h"

namespace leakwatch {

class EarlyFrees {
 public:
  // From now on, those that come were published by `looked`, so their allocations had happened by then. Without it,
  // none comes early.
  void expect(std::optional<std::uint64_t> looked) { looked_ = looked; }
  bool are_expected() const { return looked_.has_value(); }
  // Far beyond what a program can bring about between two looks: overwritten memory.
  bool are_too_many() const { return at_.size() >= kMost; }

  bool may_wait(std::uint64_t address) const { return !at_.empty() && waiting_[filter_class(address)] != 0; }

  void add(std::uint64_t address) {
    At& at = at_[address];
    waiting_[filter_class(address)] += at.count == 0;
    if (at.count++ != 0 && at.looked == *looked_) return;
    at.looked = *looked_;
    order_.push_back({address, *looked_});
    if (order_.size() > most_looks_) forget_done();
  }

  // An allocation is there. True when a free waited for it, which is done with.
  bool take(std::uint64_t address) {
    const auto place = at_.find(address);
    if (place == at_.end()) return false;
    if (--place->second.count == 0) forget(place);
    return true;
  }

  // An allocation of that time is there: 0, or how many frees waited for none so late, and are given up.
  std::uint64_t give_up_before(std::uint64_t time, std::uint64_t address) {
    const auto place = at_.find(address);
    if (place == at_.end() || place->second.looked >= time) return 0;
    const std::uint64_t count = place->second.count;
    forget(place);
    return count;
  }

  // Whatever was stamped by `until` has come. Returns how many frees waited for what can come no more; they are given
  // up.
  std::uint64_t settle(std::uint64_t until) {
    std::uint64_t count = 0;
    for (; !order_.empty() && order_.front().looked <= until; order_.pop_front()) {
      if (is_done(order_.front())) continue;
      const auto place = at_.find(order_.front().address);
      count += place->second.count;
      forget(place);
    }
    return count;
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
  using Addresses = std::unordered_map<std::uint64_t, At, SegmentedTable::Hash>;
  static constexpr std::size_t kFilterClasses = 4096;
  static std::size_t filter_class(std::uint64_t address) { return address / 16 % kFilterClasses; }
  void forget(Addresses::iterator place) {
    --waiting_[filter_class(place->first)];
    at_.erase(place);
  }
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
  Addresses at_;
  std::array<std::uint32_t, kFilterClasses> waiting_{};  // addresses of each class
  std::deque<Look> order_;                               // as they came, and some that are done with
  std::size_t most_looks_ = kFewLooks;
};

}  // namespace leakwatch
