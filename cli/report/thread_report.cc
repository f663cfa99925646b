// SPDX-License-Identifier: Apache-2.0
//
// See the header. Groups are matched by the names of their places: the two snapshots share no indexes.

#include "cli/report/thread_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "cli/base/quantity.h"
#include "cli/base/terminal.h"
#include "cli/profile/place.h"

namespace leakwatch {

namespace {

constexpr std::size_t kGroupsInReport = 5;

std::string text_of(const Place& place) {
  const std::string function = without_signature(place.function);
  return printable(place.location.empty() || place.location == function ? function : function + " " + place.location);
}

using Groups = std::map<std::pair<std::string, std::string>, ThreadGroup>;  // by place and creator

// It was always there: that it is elsewhere now is no growth.
bool is_main(const ThreadSnapshot& snapshot, const LiveThread& thread) {
  const StackTrace& creator = snapshot.stacks[thread.creator];
  return creator.size() == 1 && creator[0] == CodeAddress{kMainThreadMark, CodeAddress::kMarkFrame};
}

void add_groups(Groups& groups, const ThreadSnapshot& snapshot, const SymbolLookup& symbols, bool is_last) {
  const PlaceFinder finder(snapshot.modules, symbols);
  for (const LiveThread& thread : snapshot.threads) {
    if (is_main(snapshot, thread)) continue;
    const std::string place = thread.is_placed ? text_of(finder.find(snapshot.stacks[thread.stack])) : "";
    const std::string creator = text_of(finder.find(snapshot.stacks[thread.creator]));
    ThreadGroup& group = groups[{place, creator}];
    group.place = place;
    group.creator = creator;
    group.grown += is_last ? 1 : -1;
    if (!is_last) continue;
    ++group.now;
    if (group.state.empty()) group.state = thread.state;
  }
}

std::string sentence(const ThreadGroup& group) {
  const std::string place = group.place.empty() ? "" : fmt::format(" at {}", group.place);
  const std::string state = group.state.empty() ? "" : fmt::format(" [{}]", group.state);
  return fmt::format("{}{}{}, created by {} ({:+})\n", format_count(group.now, "thread"), state, place, group.creator,
                     group.grown);
}

std::string unjoined_sentences(const ThreadSnapshot& last, const SymbolLookup& symbols) {
  struct Held {
    std::int64_t threads = 0;
    std::int64_t stack_bytes = 0;
    std::int64_t resident_bytes = 0;
  };
  const PlaceFinder finder(last.modules, symbols);
  std::map<std::string, Held> by_creator;
  for (const UnjoinedThread& thread : last.unjoined) {
    Held& held = by_creator[text_of(finder.find(last.stacks[thread.creator]))];
    ++held.threads;
    held.stack_bytes += thread.facts.stack_bytes;
    held.resident_bytes += thread.facts.stack_resident_bytes;
  }
  std::string text;
  for (const auto& [creator, held] : by_creator) {
    const std::string resident =
        held.resident_bytes == 0 ? "" : fmt::format(" ({} resident)", format_bytes(held.resident_bytes));
    text += fmt::format("{} ended and never joined, holding {} of stack{}, created by {}\n",
                        format_count(held.threads, "thread"), format_bytes(held.stack_bytes), resident, creator);
  }
  return text;
}

}  // namespace

std::vector<ThreadGroup> grown_groups(const ThreadSnapshot& first, const ThreadSnapshot& last,
                                      const SymbolLookup& symbols, std::size_t limit) {
  Groups groups;
  add_groups(groups, first, symbols, false);
  add_groups(groups, last, symbols, true);
  std::vector<ThreadGroup> grown;
  for (const auto& [key, group] : groups) {
    if (group.grown > 0) grown.push_back(group);
  }
  std::stable_sort(grown.begin(), grown.end(), [](const auto& a, const auto& b) { return a.grown > b.grown; });
  grown.resize(std::min(grown.size(), limit));
  return grown;
}

std::string thread_report(const ThreadSnapshot& first, const ThreadSnapshot& last, const SymbolLookup& symbols,
                          const std::string& since) {
  std::string text;
  for (const ThreadGroup& group : grown_groups(first, last, symbols, kGroupsInReport)) text += sentence(group);
  if (!text.empty()) text = fmt::format("Threads that came {}:\n", since) + text;
  return text + unjoined_sentences(last, symbols);
}

}  // namespace leakwatch
