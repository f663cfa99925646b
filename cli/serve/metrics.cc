// SPDX-License-Identifier: Apache-2.0
//
// See the header. A stranger reads the HELP texts in a query editor, without a manual at hand: each says what is
// counted, and what is only an estimate. Prometheus computes in doubles, so figures are exact up to 2^53.

#include "cli/serve/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/process/process.h"
#include "cli/version.h"

namespace leakwatch {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Families = std::vector<MetricFamily>;
using LabelValues = std::vector<std::pair<std::string, double>>;

constexpr std::string_view kEstimate = " An estimate unless leakwatch_sample_interval_bytes is 1.";

ClientMetric metric(MetricType type, double value) {
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return metric;
}

MetricFamily labeled(MetricType type, std::string name, std::string_view help, const std::string& label,
                     const LabelValues& values) {
  MetricFamily family{std::move(name), std::string(help), type, {}};
  for (const auto& [label_value, value] : values) {
    family.metric.push_back(metric(type, value));
    family.metric.back().label.push_back({label, label_value});
  }
  return family;
}

template <typename Number>
MetricFamily counter(std::string name, std::string help, Number value) {
  return {
      std::move(name), std::move(help), MetricType::Counter, {metric(MetricType::Counter, static_cast<double>(value))}};
}

template <typename Number>
MetricFamily gauge(std::string name, std::string help, Number value) {
  return {std::move(name), std::move(help), MetricType::Gauge, {metric(MetricType::Gauge, static_cast<double>(value))}};
}

template <typename Number>
MetricFamily estimated_counter(std::string name, std::string help, Number value) {
  return counter(std::move(name), help.append(kEstimate), value);
}

template <typename Number>
MetricFamily estimated_gauge(std::string name, std::string help, Number value) {
  return gauge(std::move(name), help.append(kEstimate), value);
}

void add_heap(Families& families, const LiveTotals& totals) {
  const HeapCounters& heap = totals.heap;
  const auto freed = [](std::int64_t allocated, std::int64_t live) {
    return static_cast<double>(allocated) - static_cast<double>(live);
  };
  families.push_back(estimated_gauge("leakwatch_heap_live_bytes",
                                     "Heap that the watched program has allocated and not freed.", heap.inuse_space));
  families.push_back(estimated_gauge("leakwatch_heap_live_blocks",
                                     "Blocks that the watched program has allocated and not freed.",
                                     heap.inuse_objects));
  families.push_back(estimated_counter("leakwatch_heap_allocated_bytes_total",
                                       "Heap that the watched program has allocated.", heap.alloc_space));
  families.push_back(estimated_counter("leakwatch_heap_allocated_blocks_total",
                                       "Blocks that the watched program has allocated.", heap.alloc_objects));
  families.push_back(estimated_counter("leakwatch_heap_freed_bytes_total", "Heap that the watched program has freed.",
                                       freed(heap.alloc_space, heap.inuse_space)));
  families.push_back(estimated_counter("leakwatch_heap_freed_blocks_total",
                                       "Blocks that the watched program has freed.",
                                       freed(heap.alloc_objects, heap.inuse_objects)));
  families.push_back(gauge("leakwatch_heap_sites",
                           "Pairs of a stack and a class of block sizes that were seen to allocate.", totals.sites));
  families.push_back(
      gauge("leakwatch_sample_interval_bytes",
            "Mean number of bytes that a thread allocates between two samples; 1: everything is counted.",
            totals.sample_interval));
}

void add_threads(Families& families, const LiveTotals& totals) {
  families.push_back(labeled(
      MetricType::Gauge, "leakwatch_threads",
      "Threads whose creation was seen; ended_unjoined: they have ended, but hold their stacks until they are joined.",
      "state",
      {{"running", static_cast<double>(totals.threads.running)},
       {"ended_unjoined", static_cast<double>(totals.threads.unjoined)}}));
  families.push_back(
      counter("leakwatch_threads_created_total", "Threads whose creation was seen.", totals.threads.created));
  families.push_back(gauge("leakwatch_target_threads",
                           "Threads of the watched process as the kernel counts them, the main thread too.",
                           totals.kernel_threads));
}

void add_recording(Families& families, const LiveTotals& totals) {
  const Blindness& blindness = totals.blindness;
  families.push_back(gauge("leakwatch_target_resident_memory_bytes", "Resident memory of the watched process.",
                           totals.resident_bytes));
  families.push_back(counter("leakwatch_events_total",
                             "Allocations, frees and thread events that were recorded and read.", totals.events));
  families.push_back(
      labeled(MetricType::Counter, "leakwatch_events_lost_total",
              "Events that were not recorded (allocation, free) or made no sense (malformed); a lost allocation makes "
              "the live heap too small, a lost free too large.",
              "kind",
              {{"allocation", static_cast<double>(blindness.lost_allocations)},
               {"free", static_cast<double>(blindness.lost_frees)},
               {"malformed", static_cast<double>(blindness.bad_records)}}));
  families.push_back(counter("leakwatch_unmatched_frees_total",
                             "Frees of blocks whose allocation was not seen, as it was lost or came before the watch.",
                             blindness.unknown_frees));
  families.push_back(counter("leakwatch_modules_refused_total",
                             "Libraries that the target loaded and leakwatch had no room to know.",
                             blindness.modules_refused));
  families.push_back(counter("leakwatch_stacks_refused_total",
                             "Events that were counted without their stack, as the table of stacks was full.",
                             blindness.stacks_refused));
  families.push_back(
      gauge("leakwatch_recording_ended",
            "1 when the recording has ended before the program did: heap and thread figures stand still.",
            blindness.ended.empty() ? 0 : 1));
}

// Not of an exact session, in which it is not measured.
void add_cost(Families& families, const RecordingCost& cost) {
  if (cost.processor_ns == 0) return;
  const auto seconds = [](std::uint64_t ns) { return static_cast<double>(ns) / 1e9; };
  families.push_back(labeled(MetricType::Counter, "leakwatch_recording_seconds_total",
                             "What recording has cost: time inside of the watched program (target), and CPU time of "
                             "leakwatch's to read it (reader).",
                             "place", {{"target", seconds(cost.target_ns)}, {"reader", seconds(cost.reader_ns)}}));
  families.push_back(counter("leakwatch_target_cpu_seconds_total",
                             "User and system CPU time that the watched program has spent meanwhile, in seconds.",
                             seconds(cost.processor_ns)));
}

// The process_ names are those of every program with Prometheus metrics, and of the process that is scraped: ours.
void add_ourselves(Families& families, const OwnUsage& usage) {
  families.push_back(labeled(MetricType::Gauge, "leakwatch_build_info", "Always 1; the label is leakwatch's version.",
                             "version", {{kVersionText, 1}}));
  families.push_back(counter("process_cpu_seconds_total",
                             "User and system CPU time that leakwatch itself has spent, in seconds.",
                             usage.cpu_seconds));
  families.push_back(
      gauge("process_resident_memory_bytes", "Resident memory of leakwatch itself, in bytes.", usage.resident_bytes));
}

// Prometheus takes a counter that falls for one that began anew, and then counts all of it once more. But differences
// of rounded estimates may fall by one; a realloc or the making of a thread that fails takes an event back; and of two
// answers the later one may be given first.
void keep_from_falling(Families& families, std::map<std::string, double>& reached) {
  for (MetricFamily& family : families) {
    if (family.type != MetricType::Counter) continue;
    for (ClientMetric& metric : family.metric) {
      double& highest = reached[family.name + (metric.label.empty() ? "" : " " + metric.label.front().value)];
      highest = std::max(highest, metric.counter.value);
      metric.counter.value = highest;
    }
  }
}

}  // namespace

OwnUsage own_usage() {
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  return {static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9, resident_bytes(::getpid())};
}

std::string Metrics::text(const LiveTotals& totals, const OwnUsage& usage) {
  Families families;
  if (totals.time_ns != 0) {
    add_heap(families, totals);
    add_threads(families, totals);
    add_recording(families, totals);
    add_cost(families, totals.cost);
    const std::lock_guard lock(mutex_);
    if (std::exchange(program_, totals.program) != totals.program) reached_.clear();
    keep_from_falling(families, reached_);
  }
  add_ourselves(families, usage);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace leakwatch
