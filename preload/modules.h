// SPDX-License-Identifier: Apache-2.0
//
// Tells the reader which files the addresses of stacks lie in. A module is announced when an address in it is first
// seen (frame_rules.cc asks), by an append to the shared module area; the loader is asked through its lock-free
// _dl_find_object only. dlclose moves the epoch, so an address that another library gets later is not mistaken.
#pragma once

#include <atomic>
#include <cstdint>

#include <dlfcn.h>

#include "proto/shared_memory.h"

namespace leakwatch::preload {

class Modules {
 public:
  static constexpr std::uint32_t kMostKnown = 4096;  // an older one is announced again when it is seen again
  struct Known {
    std::uint64_t start;
    std::uint64_t limit;
    std::uint64_t identity;  // of the link map and its path: another library in the same place differs
  };
  static constexpr std::size_t kTableBytes = kMostKnown * sizeof(Known);

  // `known` is kTableBytes of zeroes.
  void start(shared::Header* header, Known* known);

  // What the loader knows about the code at `address`; false outside every module.
  bool find(std::uint64_t address, dl_find_object& found) const;

  // Announces the module unless the reader knows it already. False: busy all the time, ask again with the next stack.
  bool announce(const dl_find_object& found);

  std::uint64_t epoch() const { return header_->module_epoch.load(std::memory_order_acquire); }
  void advance_epoch() { header_->module_epoch.fetch_add(1, std::memory_order_acq_rel); }

  void after_fork_in_hook() { locked_.store(0, std::memory_order_relaxed); }  // see session.h

 private:
  bool is_known(std::uint64_t start, std::uint64_t limit, std::uint64_t identity) const;
  void append(const dl_find_object& found, std::uint64_t identity);

  shared::Header* header_;
  Known* known_;
  std::atomic<std::uint64_t> known_count_;  // that were put into the table, which holds the last of them
  std::atomic<std::uint32_t> locked_;
  std::atomic<bool> is_stuck_;
};

}  // namespace leakwatch::preload
