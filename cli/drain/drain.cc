// SPDX-License-Identifier: Apache-2.0
//
// See the header. A pass is followed by a nap on a futex, from which the target wakes us when a ring fills.

#include "cli/drain/drain.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstddef>

#include "cli/base/background_thread.h"
#include "cli/process/process.h"

namespace leakwatch {

namespace {

static_assert(DrainPace::kLongestNs < shared::kHeartbeatNs);

void futex_wait(const void* word, std::uint32_t expected, std::uint64_t nanoseconds) {
  const timespec timeout{static_cast<time_t>(nanoseconds / 1'000'000'000),
                         static_cast<long>(nanoseconds % 1'000'000'000)};
  syscall(SYS_futex, word, FUTEX_WAIT, expected, &timeout, nullptr, 0);
}

void futex_wake(const void* word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

Drain::Drain(SharedRegion& region, pid_t target) : region_(region), reader_(region) {
  if (target != 0 && !is_exact()) steering_.emplace(region, target);
  thread_ = background_thread("drain", 0, [this] { run(); });
}

Drain::~Drain() {
  finish();
}

Drain::State Drain::state() {
  State state;
  after_a_pass([&] {
    static_cast<Counts&>(state) = counts();
    state.sites = reader_.heap().sites();
  });
  return state;
}

Drain::Summary Drain::summary(std::size_t first_new_site) {
  Summary summary;
  after_a_pass([&] {
    static_cast<Counts&>(summary) = counts();
    const HeapState& heap = reader_.heap();
    summary.heap = heap.total();
    summary.threads = reader_.threads().total();
    const std::vector<std::uint32_t>& stacks = heap.stacks();
    summary.sites = stacks.size();
    const std::size_t first = std::min(first_new_site, stacks.size());
    summary.new_stacks.assign(stacks.begin() + static_cast<std::ptrdiff_t>(first), stacks.end());
  });
  return summary;
}

Drain::Counts Drain::counts() const {
  const HeapState& heap = reader_.heap();
  return {.unknown_frees = heap.unknown_frees(),
          .implied_frees = heap.implied_frees(),
          .bad_records = reader_.bad_records(),
          .events = reader_.events(),
          .sample_interval = steering_ ? steering_->interval() : region_.settings().sample_interval,
          .cost = steering_ ? steering_->cost() : RecordingCost{}};
}

Drain::Threads Drain::threads(const std::vector<std::uint64_t>& ended_untold) {
  Threads threads;
  after_a_pass([&] {
    ThreadLedger& ledger = reader_.threads();
    for (const std::uint64_t token : ended_untold) ledger.end_untold(token);
    threads = {ledger.threads(), ledger.creators(), ledger.lately_gone()};
  });
  return threads;
}

// Has the thread look at the state when it has caught up with what had happened before this was called.
void Drain::after_a_pass(const std::function<void()>& look) {
  std::unique_lock lock(mutex_);
  if (finished_) return look();
  look_ = &look;
  wake();
  answered_.wait(lock, [this] { return look_ == nullptr; });
}

void Drain::finish() {
  {
    std::unique_lock lock(mutex_);
    leaving_ = true;
    wake();
    answered_.wait(lock, [this] { return finished_; });
  }
  if (thread_.joinable()) thread_.join();
}

void Drain::wake() {
  wish_waits_.store(true, std::memory_order_release);
  region_.header().reader_sleeps.store(0);
  futex_wake(&region_.header().reader_sleeps);
}

void Drain::run() {
  while (true) {
    // A wish is answered with all that had been published when it was made.
    const bool wished = wish_waits_.exchange(false, std::memory_order_acq_rel);
    std::unique_lock lock(mutex_, std::defer_lock);
    if (wished) lock.lock();
    const std::function<void()>* look = wished ? look_ : nullptr;
    const bool last = wished && leaving_;
    if (wished) lock.unlock();
    if (!wished) {
      rest(timed_pass(false));
      continue;
    }
    reader_.catch_up(last, [&] { return timed_pass(last); });
    lock.lock();
    if (look != nullptr) (*look)();
    if (look != nullptr) look_ = nullptr;
    finished_ = last;
    answered_.notify_all();
    if (last) return;
  }
}

// What events cost us is part of what recording costs; passes that find none, and all else, would come whatever is
// sampled.
RingReader::Pass Drain::timed_pass(bool to_the_end) {
  const std::uint64_t before_ns = steering_ ? own_thread_processor_ns() : 0;
  const RingReader::Pass pass = reader_.pass(to_the_end);
  if (steering_) {
    if (pass.events != 0) reading_ns_ += own_thread_processor_ns() - before_ns;
    steering_->tend(reader_.heap(), reading_ns_);
  }
  publish_progress(pass.events);
  return pass;
}

void Drain::publish_progress(std::size_t events) {
  shared::Header& header = region_.header();
  header.heartbeat_ns.store(monotonic_ns(), std::memory_order_relaxed);
  if (events == 0) return;
  header.progress.fetch_add(1);
  if (header.writers_waiting.load() != 0) futex_wake(&header.progress);
}

void Drain::rest(const RingReader::Pass& pass) {
  const std::uint64_t nanoseconds = pace_.rest_ns(reader_.fullest_ring_words(), region_.ring_words());
  if (pass.has_left_words) return;
  shared::Header& header = region_.header();
  header.reader_sleeps.store(1);
  if (!wish_waits_.load(std::memory_order_acquire)) futex_wait(&header.reader_sleeps, 1, nanoseconds);
  header.reader_sleeps.store(0);
}

}  // namespace leakwatch
