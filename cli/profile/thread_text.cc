// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/thread_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "cli/base/utf8.h"
#include "cli/profile/frame_finder.h"
#include "cli/profile/module_table.h"
#include "cli/profile/place.h"
#include "cli/profile/profile_rows.h"
#include "cli/profile/stack_text.h"
#include "proto/shared_memory.h"

namespace leakwatch {

namespace {

constexpr std::size_t kMostBytesOfStacks = std::size_t{64} << 20;
constexpr std::int64_t kNanosecondsPerMinute = 60'000'000'000;

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char byte : on_one_line(text)) {
    if (byte == '"' || byte == '\\') result += '\\';
    result += byte;
  }
  return result + '"';
}

// A row as it is printed, so that rows of one count are in the order of their text.
struct CountEntry {
  std::int64_t count = 0;
  std::string key;
  StackTrace stack;
};

std::vector<CountEntry> sorted_entries(const ProfileContent& content, const ProfileRows& rows) {
  std::vector<CountEntry> entries;
  for (const ProfileRows::Row& row : rows.rows()) {
    const StackTrace stack = rows.stack(row);
    std::string key = address_list(stack) + '\n';
    if (!row.text.empty()) key += fmt::format("# labels: {{{}:{}}}\n", quoted(content.text_label), quoted(row.text));
    entries.push_back({row.values.front(), std::move(key), stack});
  }
  std::sort(entries.begin(), entries.end(), [](const CountEntry& a, const CountEntry& b) {
    return a.count != b.count ? a.count > b.count : a.key < b.key;
  });
  return entries;
}

std::string counts(std::string_view name, const ProfileContent& content, const ProfileRows& rows, FrameFinder& frames) {
  std::int64_t total = 0;
  for (const ProfileRows::Row& row : rows.rows()) total += row.values.front();
  std::string text = fmt::format("{} profile: total {}\n", name, total);
  for (const CountEntry& entry : sorted_entries(content, rows)) {
    text += std::to_string(entry.count) + entry.key;
    text += symbol_lines(entry.stack, frames);
  }
  return text;
}

bool is_mark(const CodeAddress& address, std::uint64_t mark) {
  return address == CodeAddress{mark, CodeAddress::kMarkFrame};
}

class StacksText {
 public:
  StacksText(const ThreadSnapshot& snapshot, const SymbolLookup& symbols)
      : snapshot_(snapshot), frames_(snapshot.modules, symbols), places_(snapshot.modules, symbols) {}

  std::string text() {
    for (const LiveThread& thread : snapshot_.threads) {
      add_thread(thread);
      if (text_.size() > kMostBytesOfStacks) break;
    }
    text_ += "# The names of these threads:\n";
    for (const LiveThread& thread : snapshot_.threads)
      text_ += fmt::format("# {} {}\n", thread.tid, on_one_line(thread.name));
    for (const std::string& note : snapshot_.notes) text_ += "# " + on_one_line(note) + "\n";
    return std::move(text_);
  }

 private:
  void add_thread(const LiveThread& thread) {
    const std::int64_t minutes = thread.waiting_ns / kNanosecondsPerMinute;
    const std::string waiting = minutes > 0 ? fmt::format(", {} minutes", minutes) : "";
    text_ += fmt::format("goroutine {} [{}{}]:\n", thread.tid, on_one_line(thread.state), waiting);
    add_stack(thread.is_placed ? snapshot_.stacks.at(thread.stack) : StackTrace{});
    add_creator(snapshot_.stacks.at(thread.creator));
    text_ += '\n';
  }

  void add_stack(const StackTrace& stack) {
    if (stack.empty()) add_call({std::string(kStackNotRecorded), {}, {}, 0, 0});
    for (std::size_t i = 0; i < stack.size(); ++i) {
      if (i > 0 && is_mark(stack[i], static_cast<std::uint64_t>(shared::Mark::kTruncated))) {
        text_ += "...additional frames elided...\n";
      } else {
        for (const Frame& frame : frames_.at(stack[i])) add_call(frame);
      }
    }
  }

  void add_call(const Frame& frame) {
    text_ += on_one_line(without_signature(frame.function)) + "(...)\n\t";
    text_ += frame.file.empty() ? "??:0\n" : fmt::format("{}:{}\n", on_one_line(frame.file), frame.line);
  }

  // Go names the function that says `go`. Here that is the program's own, not the library's that called for it.
  void add_creator(const StackTrace& stack) {
    if (stack.empty() || is_mark(stack.front(), kMainThreadMark) || is_mark(stack.front(), kUnseenCreatorMark)) return;
    const Place place = places_.find(stack);
    text_ += "created by " + on_one_line(without_signature(place.function)) + "\n\t";
    // An offset in a module stands there where no source is known.
    const bool has_source = place.full_location.starts_with('/');
    text_ += has_source ? on_one_line(place.full_location) + "\n" : "??:0\n";
  }

  const ThreadSnapshot& snapshot_;
  FrameFinder frames_;
  PlaceFinder places_;
  std::string text_;
};

}  // namespace

std::string count_text(std::string_view name, const ProfileContent& content, const SymbolLookup& symbols,
                       const ProfileLimits& limits) {
  const ModuleTable modules(content);
  ProfileRows rows(content, modules);
  FrameFinder frames(modules.modules(), symbols);
  return within_limits(rows, limits, [&] { return counts(name, content, rows, frames); });
}

std::string stacks_text(const ThreadSnapshot& snapshot, const SymbolLookup& symbols) {
  return StacksText(snapshot, symbols).text();
}

}  // namespace leakwatch
