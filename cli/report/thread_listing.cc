// SPDX-License-Identifier: Apache-2.0
//
// See the header. Unknown numbers are a dash. Names come from the program and are printed as text only.

#include "cli/report/thread_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/base/quantity.h"
#include "cli/base/terminal.h"
#include "cli/profile/place.h"

namespace leakwatch {

namespace {

// What may contain blanks comes last.
constexpr std::string_view kRow =
    "{:>8}  {:>9}  {:>10}  {:>9}  {:>12}  {:>9}  {:>6}  {:>7}  {:<15}  {:<16}  {:<24}  {}\n";

std::string utc(std::int64_t time_ns) {
  const auto seconds = static_cast<std::time_t>(time_ns / 1'000'000'000);
  std::tm parts{};
  char text[32] = "";
  if (gmtime_r(&seconds, &parts) == nullptr) return {};
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

std::string or_dash(std::string text) {
  return text.empty() ? "-" : printable(std::move(text));
}
std::string seconds(std::int64_t ns) {
  return ns == 0 ? "-" : fmt::format("{:.2f}", static_cast<double>(ns) / 1e9);
}
std::string kib(std::int64_t bytes) {
  return bytes == 0 ? "-" : fmt::format("{}", bytes / 1024);
}

std::string count(std::size_t number, std::string_view noun = {}) {
  return format_count(static_cast<std::int64_t>(number), noun);
}

class Listing {
 public:
  Listing(const ThreadSnapshot& snapshot, const SymbolLookup& symbols)
      : snapshot_(snapshot), symbols_(symbols), finder_(snapshot.modules, symbols) {}

  std::string text() {
    std::string text = head();
    text += live_rows();  // first: its stacks have the first numbers
    text += unjoined_rows();
    return text + stacks();
  }

 private:
  std::string head() const {
    std::string text = fmt::format("{} of {}, {}", count(snapshot_.threads.size(), "thread"),
                                   printable(snapshot_.command), utc(snapshot_.time_ns));
    if (!snapshot_.unjoined.empty())
      text += fmt::format("; {} more ended and were never joined", count(snapshot_.unjoined.size()));
    text += '\n';
    for (const std::string& note : snapshot_.notes) text += printable(note) + '\n';
    return text;
  }

  static std::string column_names() {
    return '\n' + fmt::format(kRow, "tid", "waits s", "age s", "stack KiB", "resident KiB", "guard KiB", "at",
                              "made by", "name", "state", "started in", "remarks");
  }

  std::string live_rows() {
    if (snapshot_.threads.empty()) return {};
    std::string text = column_names();
    const std::size_t listed = std::min(snapshot_.threads.size(), kMostThreadsListed);
    for (std::size_t i = 0; i < listed; ++i) {
      const LiveThread& thread = snapshot_.threads[i];
      const std::string at = place_of(thread);
      const std::string by = maker_of(thread.creator);
      text += row(thread.tid, thread.name, thread.state, thread.waiting_ns, thread.facts, at, by, remarks(thread));
    }
    return text + left_out(snapshot_.threads.size() - listed);
  }

  std::string unjoined_rows() {
    if (snapshot_.unjoined.empty()) return {};
    std::string text = "\nEnded and never joined" + column_names();
    const std::size_t listed = std::min(snapshot_.unjoined.size(), kMostThreadsListed);
    for (std::size_t i = 0; i < listed; ++i) {
      const UnjoinedThread& thread = snapshot_.unjoined[i];
      text += row(thread.tid, {}, "ended", 0, thread.facts, "-", maker_of(thread.creator), {});
    }
    return text + left_out(snapshot_.unjoined.size() - listed);
  }

  std::string row(std::uint32_t tid, const std::string& name, const std::string& state, std::int64_t waiting_ns,
                  const ThreadFacts& facts, const std::string& at, const std::string& by,
                  const std::string& remark) const {
    std::string line =
        fmt::format(kRow, tid == 0 ? "-" : fmt::format("{}", tid), seconds(waiting_ns), seconds(facts.age_ns),
                    kib(facts.stack_bytes), kib(facts.stack_resident_bytes), kib(facts.guard_bytes), at, by,
                    or_dash(name), or_dash(state), start_of(facts), printable(remark));
    line.erase(line.find_last_not_of(" \n") + 1);
    return line + '\n';
  }

  static std::string left_out(std::size_t number) {
    return number == 0 ? "" : fmt::format("and {} more, which are not listed\n", count(number));
  }

  std::string start_of(const ThreadFacts& facts) const {
    if (facts.start_routine.address == 0) return "-";
    return or_dash(without_signature(finder_.find({facts.start_routine}).function));
  }

  static std::string remarks(const LiveThread& thread) {
    std::string text;
    for (const auto& [word, what] : {std::pair<std::string_view, const std::string&>{"on: ", thread.waits_on},
                                     {"in the kernel: ", thread.wait_channel},
                                     {"stack: ", thread.stack_note}}) {
      if (!what.empty()) text += fmt::format("{}{}{}", text.empty() ? "" : "; ", word, what);
    }
    return text;
  }

  struct Reference {
    std::uint32_t stack = 0;
    std::size_t at = 0;    // threads that are there
    std::size_t made = 0;  // threads that were made there
  };

  std::string place_of(const LiveThread& thread) {
    return thread.is_placed ? refer_to(thread.stack, &Reference::at) : "-";
  }
  std::string maker_of(std::uint32_t creator) { return refer_to(creator, &Reference::made); }

  // Equal stacks are one, numbered in the order in which the lines come to speak of them.
  std::string refer_to(std::uint32_t stack, std::size_t Reference::*role) {
    std::vector<std::pair<std::uint64_t, std::uint32_t>> key;
    for (const CodeAddress& at : snapshot_.stacks.at(stack)) key.emplace_back(at.address, at.module);
    const auto [number, is_new] = numbers_.try_emplace(std::move(key), references_.size());
    if (is_new) references_.push_back({.stack = stack});
    ++(references_[number->second].*role);
    return fmt::format("#{}", number->second + 1);
  }

  std::string stacks() const {
    std::string text;
    for (std::size_t i = 0; i < references_.size(); ++i) {
      const Reference& reference = references_[i];
      text += fmt::format("\n#{}", i + 1);
      if (reference.at != 0) text += fmt::format("  {} here", count(reference.at, "thread"));
      if (reference.made != 0) text += fmt::format("  made {}", count(reference.made, "thread"));
      text += '\n';
      const StackTrace& trace = snapshot_.stacks[reference.stack];
      for (const CodeAddress& at : trace) text += frames(at);
      if (trace.empty()) text += frame_line(kStackNotRecorded, {});
    }
    return text;
  }

  std::string frames(const CodeAddress& at) const {
    if (at.module >= snapshot_.modules.size()) return frame_line(name_without_module(at), {});
    const Module& module = snapshot_.modules[at.module];
    const std::uint64_t address = at.address - module.bias;
    std::string text;
    for (const Frame& frame : symbols_.frames(module, address)) {
      const std::string line = frame.line > 0 ? fmt::format(":{}", frame.line) : "";
      text += frame_line(frame.function, frame.file.empty() ? name_by_offset(module, address) : frame.file + line);
    }
    return text;
  }

  static std::string frame_line(std::string_view function, const std::string& location) {
    const std::string gap = location.empty() || location == function ? "" : "  " + location;
    return printable(fmt::format("    {}{}", function, gap)) + '\n';
  }

  const ThreadSnapshot& snapshot_;
  const SymbolLookup& symbols_;
  PlaceFinder finder_;
  std::map<std::vector<std::pair<std::uint64_t, std::uint32_t>>, std::size_t> numbers_;
  std::vector<Reference> references_;
};

}  // namespace

std::string thread_listing(const ThreadSnapshot& snapshot, const SymbolLookup& symbols) {
  return Listing(snapshot, symbols).text();
}

}  // namespace leakwatch
