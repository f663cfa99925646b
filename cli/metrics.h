// SPDX-License-Identifier: Apache-2.0
//
// /metrics: few series in Prometheus' text format. The only includer of prometheus-cpp.
#pragma once

#include <cstdint>
#include <string>

#include "cli/profile_source.h"

namespace leakwatch {

// What leakwatch itself takes.
struct OwnUsage {
  double cpu_seconds = 0;            // user and system, since its start
  std::uint64_t resident_bytes = 0;
};
OwnUsage own_usage();

inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// No labels but fixed ones: never one per site. Totals of a program that has not called back yet give our own series
// alone.
std::string metrics_text(const LiveTotals& totals, const OwnUsage& usage);

}  // namespace leakwatch
