// SPDX-License-Identifier: Apache-2.0
//
// The thread that has the rings emptied (ring_reader.h). It never waits for symbols, the disk or a client: a snapshot
// is a copy of the counters that it makes between two passes.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cli/drain/drain_pace.h"
#include "cli/drain/ring_reader.h"
#include "cli/drain/shared_region.h"
#include "cli/drain/steering.h"
#include "cli/state/heap_state.h"
#include "cli/state/thread_ledger.h"

namespace leakwatch {

class Drain {
 public:
  // `region` must outlive the drain. `target`: the process that writes to it, whose sampling interval is steered if the
  // settings say so; 0: that is not measured.
  explicit Drain(SharedRegion& region, pid_t target = 0);
  ~Drain();
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

  struct Counts {
    std::uint64_t unknown_frees = 0;
    std::uint64_t implied_frees = 0;
    std::uint64_t bad_records = 0;
    std::uint64_t events = 0;
    std::uint64_t sample_interval = 1;  // at this moment
    RecordingCost cost;
  };
  struct State : Counts {
    std::vector<HeapState::Site> sites;
  };
  // All that had happened in the target when this was called. One caller at a time.
  State state();

  // The sums of the same, which cost no copy of all sites.
  struct Summary : Counts {
    HeapCounters heap;
    ThreadCounters threads;
    std::size_t sites = 0;
    std::vector<std::uint32_t> new_stacks;  // of the sites from `first_new_site` on
  };
  Summary summary(std::size_t first_new_site);

  struct Threads {
    std::vector<ThreadRecord> records;
    std::map<std::uint32_t, ThreadCounters> creators;
    std::deque<std::uint32_t> lately_gone;
  };
  // The same of the ledger. `ended_untold`: tokens of threads that were surely gone when this was called.
  Threads threads(const std::vector<std::uint64_t>& ended_untold = {});

  // The target has ended: takes what is left, whatever its time stamp, and stops the thread. state() still answers.
  void finish();

 private:
  Counts counts() const;
  void after_a_pass(const std::function<void()>& look);
  void run();
  RingReader::Pass timed_pass(bool to_the_end);
  void publish_progress(std::size_t events);
  bool is_exact() const { return region_.settings().sample_interval == 1; }
  void rest(const RingReader::Pass& pass);
  void wake();

  SharedRegion& region_;
  RingReader reader_;
  std::optional<Steering> steering_;  // not of an exact session
  std::uint64_t reading_ns_ = 0;      // processor time of passes that found something
  DrainPace pace_;

  std::mutex mutex_;
  std::condition_variable answered_;
  const std::function<void()>* look_ = nullptr;  // null: none is asked for
  bool leaving_ = false;
  bool finished_ = false;
  std::atomic<bool> wish_waits_{false};
  std::thread thread_;
};

}  // namespace leakwatch
