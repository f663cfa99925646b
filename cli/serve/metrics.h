// SPDX-License-Identifier: Apache-2.0
//
// /metrics: few series in Prometheus' text format. The only includer of prometheus-cpp is metrics.cc.
// The format: https://prometheus.io/docs/instrumenting/exposition_formats/, the names:
// https://prometheus.io/docs/practices/naming/.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "cli/session/profile_source.h"

namespace leakwatch {

// What leakwatch itself takes.
struct OwnUsage {
  double cpu_seconds = 0;  // user and system, since its start
  std::uint64_t resident_bytes = 0;
};
OwnUsage own_usage();

inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// Thread-safe. One for all who ask, and for as long as leakwatch runs.
class Metrics {
 public:
  // No labels but fixed ones: never one per site. Totals of a program that has not called back yet give our own series
  // alone. Counters begin anew only when the program executes another one.
  std::string text(const LiveTotals& totals, const OwnUsage& usage);

 private:
  std::mutex mutex_;
  std::uint64_t program_ = 0;              // that the counters below are of
  std::map<std::string, double> reached_;  // the highest value of each counter so far, by its name and label
};

}  // namespace leakwatch
