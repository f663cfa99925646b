// SPDX-License-Identifier: Apache-2.0
//
// What the user reads on the terminal. The question behind every line is "where do I look first?": so growth is summed
// by the place in the program's own code, whichever paths of the standard library led from there to the allocator.
//
// Two snapshots share nothing but names: stacks and modules of each have indexes of their own, and are never compared.
// Names come out of the target's files and are printed as text only: no byte of them may steer a terminal. Pure: no
// clock, no file, no output.
#include "cli/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "cli/place.h"
#include "cli/terminal.h"

namespace leakwatch {
namespace {

constexpr std::size_t kSitesInReport = 10;

std::uint64_t magnitude(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return number < 0 ? 0 - bits : bits;
}

// Three digits, as more of them are never looked at: "1.50 MiB", "12.3 MiB", "812 B".
std::string three_digits(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // What would be rounded to 1024 is one of the next unit.
  for (; amount >= 1023.5 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  const int decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", amount, decimals, kUnits[unit]);
}

std::string grouped(std::int64_t number) {
  std::string digits = fmt::format("{}", magnitude(number));
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return number < 0 ? "-" + digits : digits;
}

std::string grouped_count(std::uint64_t number) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return grouped(static_cast<std::int64_t>(std::min(number, kLargest)));
}

std::string count(std::uint64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", grouped_count(number), noun, number == 1 ? "" : "s");
}

std::string blocks(std::int64_t number) {
  return fmt::format("{} block{}", grouped(number), number == 1 ? "" : "s");
}

// ISO 8601, to the second.
std::string utc_time(std::int64_t time_ns) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(time_ns / 1'000'000'000)));
}

std::string resident(const HeapSnapshot& snapshot) {
  if (snapshot.resident_bytes == 0) return {};
  return fmt::format("; RSS {}", three_digits(snapshot.resident_bytes));
}

std::string percentage(std::uint64_t ns, const RecordingCost& cost) {
  return format_share(static_cast<double>(ns) / static_cast<double>(cost.processor_ns));
}

// What the sampling interval is steered to; nothing where it is not.
std::string steered(const HeapSnapshot& snapshot) {
  const RecordingCost& cost = snapshot.cost;
  if (cost.limit <= 0) return {};
  std::string interval = fmt::format("; a sample every {}", three_digits(snapshot.sample_interval));
  if (cost.processor_ns == 0) return interval;
  return fmt::format("{}, {} of its processor time so far", interval,
                     percentage(cost.target_ns + cost.reader_ns, cost));
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
    text += fmt::format("{:>12}  {:>12}  {:<{}}  {}\n", format_change(site.bytes), grouped(site.blocks),
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
                                       blocks(after.inuse_objects), change, resident(last));
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

std::string format_share(double share) {
  constexpr double kLeast = 0.001;
  const double percent = share * 100;
  if (percent > 0 && percent < kLeast) return fmt::format("<{}%", kLeast);
  const int decimals = percent >= 10 ? 0 : percent >= 0.1 ? 2 : 3;
  return fmt::format("{:.{}f}%", percent, decimals);
}

std::string format_bytes(std::int64_t bytes) {
  return (bytes < 0 ? "-" : "") + three_digits(magnitude(bytes));
}

std::string format_change(std::int64_t bytes) {
  return (bytes < 0 ? "-" : "+") + three_digits(magnitude(bytes));
}

std::string snapshot_line(const HeapSnapshot& first, const HeapSnapshot& now, std::size_t threads,
                          double seconds_since_start, const std::string& profile_or_error) {
  const HeapCounters live = total(now);
  return fmt::format("[{:6.1f} s] live {} in {}, {} since the first{}; {} thread{}{}; {}", seconds_since_start,
                     format_bytes(live.inuse_space), blocks(live.inuse_objects),
                     format_change(live.inuse_space - total(first).inuse_space), resident(now), threads,
                     threads == 1 ? "" : "s", steered(now), profile_or_error);
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

std::vector<std::string> sampling_sentences(std::uint64_t sample_interval, const RecordingCost& cost,
                                            const Blindness& blindness) {
  if (sample_interval <= 1) {
    const bool is_whole = blindness_sentences(blindness).empty();
    return {is_whole ? "Exact: every allocation was counted."
                     : "Exact: every allocation was counted, but for what follows."};
  }
  const std::string estimates = fmt::format("Sampled: the figures are estimates from one sample every {} on average",
                                            three_digits(sample_interval));
  if (cost.limit <= 0) return {estimates + "."};
  std::vector<std::string> sentences = {
      fmt::format("{} at the moment, and from {} to {} since the start; each sample is weighted by its own interval.",
                  estimates, three_digits(cost.smallest_interval), three_digits(cost.largest_interval))};
  if (cost.processor_ns != 0)
    sentences.push_back(
        fmt::format("Recording took {} of the program's processor time, {} in the program and {} to read it; the limit "
                    "is {}.",
                    percentage(cost.target_ns + cost.reader_ns, cost), percentage(cost.target_ns, cost),
                    percentage(cost.reader_ns, cost), format_share(cost.limit)));
  return sentences;
}

std::vector<std::string> blindness_sentences(const Blindness& blindness) {
  std::vector<std::string> sentences;
  const auto add = [&sentences](std::uint64_t number, std::string_view noun, std::string_view rest) {
    if (number > 0) sentences.push_back(count(number, noun) + std::string(rest));
  };
  add(blindness.lost_allocations, "allocation", " went unrecorded under pressure: live figures are too low by these.");
  add(blindness.lost_frees, "free", " went unrecorded: as many blocks may be shown as live that are not.");
  if (blindness.joined_ns != 0)
    sentences.push_back(
        fmt::format("Attached at {}, while the program ran: not shown are blocks allocated before that, and calls "
                    "through pointers to the allocator that were taken before.",
                    utc_time(blindness.joined_ns)));
  add(blindness.unknown_frees, "free",
      blindness.joined_ns != 0 ? " of blocks that are older than that, or were not seen being allocated."
                               : " of blocks that the session had not seen being allocated.");
  add(blindness.stacks_refused, "event",
      fmt::format(" found the stack table full and stand under {}.", kStackNotRecorded));
  if (blindness.modules_refused != 0)
    sentences.emplace_back(
        "Too many libraries were loaded and unloaded: frames in the last ones may have no name, or that of a library "
        "which was at their place before.");
  add(blindness.bad_records, "record", " made no sense and counted for nothing.");
  if (!blindness.ended.empty()) sentences.push_back("Blind since recording ended early: " + blindness.ended);
  sentences.insert(sentences.end(), blindness.notes.begin(), blindness.notes.end());
  return sentences;
}

}  // namespace leakwatch
