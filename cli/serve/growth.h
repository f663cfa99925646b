// SPDX-License-Identifier: Apache-2.0
//
// Which sites and which groups of threads grow, and how fast. Looks at the program only when somebody asks, and seldom
// enough to cost it little: a heap of a hundred thousand sites has its names looked up, and threads that run are
// stopped for a moment.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/report.h"
#include "cli/report/thread_report.h"
#include "cli/serve/history.h"
#include "cli/serve/trend_table.h"
#include "cli/session/profile_source.h"

namespace leakwatch {

struct SiteGrowth {
  std::string function;
  std::string location;
  std::int64_t live_bytes = 0;
  std::int64_t live_blocks = 0;
  std::int64_t grown_bytes = 0;
  std::optional<double> bytes_per_minute;
  std::vector<std::int64_t> trend;  // live bytes at GrowthReport::heap_times
};

struct ThreadGrowth {
  std::int64_t threads = 0;
  std::string state;  // what most of them do: "futex wait"
  std::string place;  // empty when they could not be looked at
  std::string creator;
  std::int64_t grown = 0;
  std::optional<double> per_minute;
  std::vector<std::int64_t> trend;  // at GrowthReport::thread_times
};

// Times in seconds, as history.h has them.
struct GrowthReport {
  std::uint64_t program = 0;            // 0: no look has come to its end yet
  std::optional<double> heap_since;     // growth counts from then
  std::optional<double> threads_since;  // likewise: the first look that somebody asked for
  std::vector<double> heap_times;
  std::vector<double> thread_times;
  std::vector<SiteGrowth> sites;     // that have grown: most first, then a few that are not among these but grow fast
  std::vector<ThreadGrowth> groups;  // likewise; after them those that did not grow
  std::vector<std::string> notes;    // on threads that could not be looked at
};

class Growth {
 public:
  static constexpr double kLookEvery = 5;            // seconds
  static constexpr double kLargestShare = 1.0 / 20;  // of the time may be spent on looks
  static constexpr double kWindow = 300;             // seconds that slopes are over

  // Both must outlive this.
  Growth(ProfileSource& source, const History& history) : source_(source), history_(history) {}

  // The newest one; takes a look first when one is due. While another caller does so, what was known before.
  // Thread-safe.
  std::shared_ptr<const GrowthReport> report();

 private:
  void update();
  void begin_anew(std::uint64_t program);
  void look_at_heap();
  void add_heap(double seconds, const Moment<HeapSnapshot>& heap);
  void look_at_threads();
  double next_look(double begun) const;
  GrowthReport compose() const;
  std::vector<SiteGrowth> sites() const;
  std::vector<ThreadGrowth> groups() const;

  ProfileSource& source_;
  const History& history_;

  std::mutex updating_;  // for all but the report
  std::uint64_t program_ = 0;
  double next_heap_ = 0, next_threads_ = 0;
  TrendTable heap_{kWindow}, threads_{kWindow};
  std::map<TrendTable::Key, std::int64_t> blocks_;  // at the last look
  std::map<TrendTable::Key, std::string> states_;   // likewise
  std::vector<std::string> notes_;                  // likewise

  std::mutex mutex_;
  std::shared_ptr<const GrowthReport> report_ = std::make_shared<const GrowthReport>();
};

}  // namespace leakwatch
