// SPDX-License-Identifier: Apache-2.0
//
// What the user reads on the terminal. The question behind every line is "where do I look first?": so growth is summed
// by the place in the program's own code, whichever paths of the standard library led from there to the allocator.
//
// Two snapshots share nothing but names: stacks and modules of each have indexes of their own, and are never compared.
// Names come out of the target's files and are printed as text only: no byte of them may steer a terminal. Pure: no
// clock, no file, no output.
#include "cli/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "cli/base/quantity.h"
#include "cli/base/terminal.h"
#include "cli/profile/accuracy.h"
#include "cli/profile/place.h"

namespace leakwatch {
namespace {

constexpr std::size_t kSitesInReport = 10;

std::string resident(const HeapSnapshot& snapshot) {
  if (snapshot.resident_bytes == 0) return {};
  return fmt::format("; RSS {}", format_size(snapshot.resident_bytes));
}

// What the sampling interval is steered to; nothing where it is not.
std::string steered(const HeapSnapshot& snapshot) {
  const RecordingCost& cost = snapshot.cost;
  if (cost.limit <= 0) return {};
  std::string interval = fmt::format("; a sample every {}", format_size(snapshot.sample_interval));
  if (cost.processor_ns == 0) return interval;
  return fmt::format("{}, {} of its processor time so far", interval,
                     share_of_program(cost.target_ns + cost.reader_ns, cost));
}

std::string shell_quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char byte : word) {
    if (byte == '\'') quoted += "'\\'";
    quoted += byte;
  }
  return quoted + "'";
}

using Sites = std::map<std::pair<std::string, std::string>, GrownSite>;  // by function and full location

// Adds each stack's live heap to its place, or takes it away.
void add_sites(Sites& sites, const HeapSnapshot& snapshot, const SymbolLookup& symbols, int sign) {
  std::vector<HeapCounters> by_stack(snapshot.stacks.size());
  for (const HeapSample& sample : snapshot.samples) by_stack.at(sample.stack) += sample.counters;
  const PlaceFinder finder(snapshot.modules, symbols);
  for (std::size_t i = 0; i < by_stack.size(); ++i) {
    if (by_stack[i].inuse_space == 0 && by_stack[i].inuse_objects == 0) continue;
    const Place place = finder.find(snapshot.stacks[i]);
    GrownSite& site = sites[{place.function, place.full_location}];
    site.bytes += sign * by_stack[i].inuse_space;
    site.blocks += sign * by_stack[i].inuse_objects;
    site.function = place.function;
    site.location = place.location;
  }
}

std::string table(const std::vector<GrownSite>& sites) {
  std::size_t width = std::string_view("location").size();
  for (const GrownSite& site : sites) width = std::max(width, site.location.size());
  std::string text = fmt::format("{:>12}  {:>12}  {:<{}}  {}\n", "bytes", "blocks", "location", width, "function");
  for (const GrownSite& site : sites) {
    text += fmt::format("{:>12}  {:>12}  {:<{}}  {}\n", format_change(site.bytes), format_count(site.blocks),
                        printable(site.location), width, printable(without_signature(site.function)));
  }
  return text;
}

// With a single profile there is nothing to subtract: what is live then has grown since the start.
std::string growth(const HeapSnapshot& first, const HeapSnapshot& last, const SymbolLookup& symbols, bool alone) {
  const HeapCounters before = total(first);
  const HeapCounters after = total(last);
  const std::string change =
      alone ? "" : fmt::format(", {} since the first profile", format_change(after.inuse_space - before.inuse_space));
  const std::string live = fmt::format("Live heap: {} in {}{}{}.\n", format_bytes(after.inuse_space),
                                       format_count(after.inuse_objects, "block"), change, resident(last));
  const std::vector<GrownSite> sites = grown_sites(alone ? HeapSnapshot() : first, last, symbols, kSitesInReport);
  const char* when = alone ? "since the start" : "between the first and the last profile";
  if (sites.empty()) return live + fmt::format("Nothing grew {}.\n", when);
  return live + fmt::format("What grew most {}:\n", when) + table(sites);
}

std::string not_seen(const HeapSnapshot& last) {
  std::string text;
  for (const std::string& sentence : sampling_sentences(last.sample_interval, last.cost, last.blindness))
    text += sentence + "\n";
  for (const std::string& sentence : blindness_sentences(last.blindness)) text += printable(sentence) + "\n";
  return text;
}

// A line of its own without any indent, to be copied as it is.
std::string next_command(const std::string& first_profile, const std::string& last_profile) {
  if (first_profile.empty() && last_profile.empty()) return "No profile was written.\n";
  if (first_profile.empty() || first_profile == last_profile) {
    return fmt::format("go tool pprof {}\n", shell_quoted(last_profile));
  }
  if (last_profile.empty()) return fmt::format("go tool pprof {}\n", shell_quoted(first_profile));
  return fmt::format("go tool pprof -diff_base {} {}\n", shell_quoted(first_profile), shell_quoted(last_profile));
}

}  // namespace

std::string snapshot_line(const HeapSnapshot& first, const HeapSnapshot& now, std::size_t threads,
                          double seconds_since_start, const std::string& profile_or_error) {
  const HeapCounters live = total(now);
  return fmt::format("[{:6.1f} s] live {} in {}, {} since the first{}; {}{}; {}", seconds_since_start,
                     format_bytes(live.inuse_space), format_count(live.inuse_objects, "block"),
                     format_change(live.inuse_space - total(first).inuse_space), resident(now),
                     format_count(static_cast<std::int64_t>(threads), "thread"), steered(now), profile_or_error);
}

std::vector<GrownSite> grown_sites(const HeapSnapshot& first, const HeapSnapshot& last, const SymbolLookup& symbols,
                                   std::size_t limit) {
  Sites sites;
  add_sites(sites, first, symbols, -1);
  add_sites(sites, last, symbols, 1);
  std::vector<GrownSite> grown;
  for (auto& [key, site] : sites) {
    if (site.bytes > 0) grown.push_back(std::move(site));
  }
  // Stable: equals stay in the order of their names.
  std::stable_sort(grown.begin(), grown.end(),
                   [](const GrownSite& a, const GrownSite& b) { return a.bytes > b.bytes; });
  grown.resize(std::min(grown.size(), limit));
  return grown;
}

std::string final_report(const HeapSnapshot& first, const HeapSnapshot& last, const SymbolLookup& symbols,
                         const std::string& first_profile, const std::string& last_profile) {
  const bool alone = first_profile == last_profile;
  return growth(first, last, symbols, alone) + "\n" + not_seen(last) + "\n" + next_command(first_profile, last_profile);
}

}  // namespace leakwatch
