// SPDX-License-Identifier: Apache-2.0
//
// What the live page asks for, as JSON. The only includer of nlohmann/json. Names come out of the target: any bytes in,
// valid UTF-8 of bounded length out.
//
// Times are seconds, as history.h has them; null is "not known". Figures of things that have a list of times beside
// them are lists of the same length.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/serve/growth.h"
#include "cli/serve/history.h"

namespace leakwatch {

inline constexpr const char* kJsonContentType = "application/json";

struct WatchedProgram {
  std::vector<std::string> command;
  pid_t pid = 0;
};

// {"leakwatch": version, "command": [...], "pid", "program": 0 before it has called back: then the rest is missing;
//  "time_ms": CLOCK_REALTIME of the newest point, "seconds": now, "last": number of the newest point,
//  "points": [[seconds, live bytes, RSS, threads, bytes ever allocated], ...],
//  "now": {"live_bytes", "live_blocks", "allocated_bytes", "allocated_blocks", "resident_bytes", "kernel_threads",
//          "threads_created", "threads_unjoined", "sites", "events", "sample_interval"},
//  "not_seen": [sentence, ...]}
std::string live_json(const HistoryView& view, const WatchedProgram& program);

// {"program", "heap_since", "threads_since", "heap_times", "thread_times",
//  "sites": [{"function", "location", "live_bytes", "live_blocks", "grown_bytes", "bytes_per_minute", "trend"}, ...],
//  "groups": [{"threads", "state", "place", "creator", "grown", "per_minute", "trend"}, ...],
//  "notes": [sentence, ...]}
std::string growth_json(const GrowthReport& report);

}  // namespace leakwatch
