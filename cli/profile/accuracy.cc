// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/accuracy.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <string_view>

#include "cli/base/quantity.h"

namespace leakwatch {

namespace {

// ISO 8601, to the second.
std::string utc_time(std::int64_t time_ns) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(time_ns / 1'000'000'000)));
}

std::string count(std::uint64_t number, std::string_view noun) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return format_count(static_cast<std::int64_t>(std::min(number, kLargest)), noun);
}

}  // namespace

std::string share_of_program(std::uint64_t ns, const RecordingCost& cost) {
  return format_share(static_cast<double>(ns) / static_cast<double>(cost.processor_ns));
}

std::vector<std::string> sampling_sentences(std::uint64_t sample_interval, const RecordingCost& cost,
                                            const Blindness& blindness) {
  if (sample_interval <= 1) {
    const bool is_whole = blindness_sentences(blindness).empty();
    return {is_whole ? "Exact: every allocation was counted."
                     : "Exact: every allocation was counted, but for what follows."};
  }
  const std::string estimates = fmt::format("Sampled: the figures are estimates from one sample every {} on average",
                                            format_size(sample_interval));
  if (cost.limit <= 0) return {estimates + "."};
  std::vector<std::string> sentences = {
      fmt::format("{} at the moment, and from {} to {} since the start; each sample is weighted by its own interval.",
                  estimates, format_size(cost.smallest_interval), format_size(cost.largest_interval))};
  if (cost.processor_ns != 0)
    sentences.push_back(
        fmt::format("Recording took {} of the program's processor time, {} in the program and {} to read it; the limit "
                    "is {}.",
                    share_of_program(cost.target_ns + cost.reader_ns, cost), share_of_program(cost.target_ns, cost),
                    share_of_program(cost.reader_ns, cost), format_share(cost.limit)));
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
