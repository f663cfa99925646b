// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/serve/live_data.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/profile/accuracy.h"
#include "cli/version.h"

namespace leakwatch {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestText = 1000;  // bytes; a demangled template can have a thousand times that
constexpr std::size_t kMostArguments = 100;

std::string clipped(const std::string& text) {
  return text.size() <= kLongestText ? text : text.substr(0, kLongestText) + "...";
}

json clipped(const std::vector<std::string>& texts, std::size_t limit) {
  json list = json::array();
  for (const std::string& text : texts) {
    if (list.size() == limit) {
      list.push_back("...");
      break;
    }
    list.push_back(clipped(text));
  }
  return list;
}

// RSS and the kernel's count are zero when the process is gone.
json known_or_null(std::uint64_t figure) {
  return figure == 0 ? json() : json(figure);
}

// Milliseconds, and thousandths of what grows in a minute: more of it only takes space.
json rounded(double number) {
  return std::round(number * 1000) / 1000;
}

json rounded(const std::optional<double>& number) {
  return number ? rounded(*number) : json();
}

json rounded(const std::vector<double>& times) {
  json list = json::array();
  for (const double seconds : times) list.push_back(rounded(seconds));
  return list;
}

json points(const std::vector<HistoryPoint>& points) {
  json list = json::array();
  for (const HistoryPoint& point : points)
    list.push_back({rounded(point.seconds), point.live_bytes, known_or_null(point.resident_bytes),
                    known_or_null(point.kernel_threads), point.allocated_bytes});
  return list;
}

json now(const LiveTotals& totals) {
  return {{"live_bytes", totals.heap.inuse_space},
          {"live_blocks", totals.heap.inuse_objects},
          {"allocated_bytes", totals.heap.alloc_space},
          {"allocated_blocks", totals.heap.alloc_objects},
          {"resident_bytes", known_or_null(totals.resident_bytes)},
          {"kernel_threads", known_or_null(totals.kernel_threads)},
          {"threads_created", totals.threads.created},
          {"threads_unjoined", totals.threads.unjoined},
          {"sites", totals.sites},
          {"events", totals.events},
          {"sample_interval", totals.sample_interval}};
}

json not_seen(const LiveTotals& totals) {
  std::vector<std::string> sentences = sampling_sentences(totals.sample_interval, totals.cost, totals.blindness);
  for (std::string& sentence : blindness_sentences(totals.blindness)) sentences.push_back(std::move(sentence));
  return clipped(sentences, sentences.size());
}

json site(const SiteGrowth& site) {
  return {{"function", clipped(site.function)},
          {"location", clipped(site.location)},
          {"live_bytes", site.live_bytes},
          {"live_blocks", site.live_blocks},
          {"grown_bytes", site.grown_bytes},
          {"bytes_per_minute", rounded(site.bytes_per_minute)},
          {"trend", site.trend}};
}

json group(const ThreadGrowth& group) {
  return {{"threads", group.threads},      {"state", clipped(group.state)},
          {"place", clipped(group.place)}, {"creator", clipped(group.creator)},
          {"grown", group.grown},          {"per_minute", rounded(group.per_minute)},
          {"trend", group.trend}};
}

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string live_json(const HistoryView& view, const WatchedProgram& program) {
  json data = {{"leakwatch", kVersionText},
               {"command", clipped(program.command, kMostArguments)},
               {"pid", program.pid},
               {"program", view.totals.program}};
  if (view.totals.time_ns == 0) return text_of(data);
  data["time_ms"] = view.totals.time_ns / 1'000'000;
  data["seconds"] = rounded(view.seconds);
  data["last"] = view.last;
  data["points"] = points(view.points);
  data["now"] = now(view.totals);
  data["not_seen"] = not_seen(view.totals);
  return text_of(data);
}

std::string growth_json(const GrowthReport& report) {
  json data = {{"program", report.program},
               {"heap_since", rounded(report.heap_since)},
               {"threads_since", rounded(report.threads_since)},
               {"heap_times", rounded(report.heap_times)},
               {"thread_times", rounded(report.thread_times)},
               {"sites", json::array()},
               {"groups", json::array()},
               {"notes", clipped(report.notes, report.notes.size())}};
  for (const SiteGrowth& each : report.sites) data["sites"].push_back(site(each));
  for (const ThreadGrowth& each : report.groups) data["groups"].push_back(group(each));
  return text_of(data);
}

}  // namespace leakwatch
