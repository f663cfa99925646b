// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/fork_guard.h"

#include "preload/clock.h"
#include "preload/system.h"

namespace leakwatch::preload {

namespace {

// A fork can take long when many threads allocate: it needs the locks of all of malloc's arenas.
constexpr std::uint64_t kLookWaitsNs = 200'000'000;
constexpr std::uint64_t kForkWaitsNs = 100'000'000;  // a look takes a few milliseconds at most

bool wait_for_none(const std::atomic<std::uint32_t>& count, std::uint64_t wait_ns) {
  if (count.load(std::memory_order_seq_cst) == 0) return true;
  const std::uint64_t give_up = monotonic_ns() + wait_ns;
  while (count.load(std::memory_order_seq_cst) != 0) {
    if (monotonic_ns() >= give_up) return false;
    nap();
  }
  return true;
}

}  // namespace

constinit ForkGuard fork_guard;

// Of a fork and a look that begin at the same time the fork goes first.
bool ForkGuard::begin_look() {
  const std::uint64_t give_up = monotonic_ns() + kLookWaitsNs;
  do {
    if (!wait_for_none(forks_, kLookWaitsNs)) return false;
    looking_.store(1, std::memory_order_seq_cst);
    if (forks_.load(std::memory_order_seq_cst) == 0) return true;
    end_look();
  } while (monotonic_ns() < give_up);
  return false;
}

void ForkGuard::before_fork() {
  forks_.fetch_add(1, std::memory_order_seq_cst);
  wait_for_none(looking_, kForkWaitsNs);
}

}  // namespace leakwatch::preload
