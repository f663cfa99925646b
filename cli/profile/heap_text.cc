// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/heap_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "cli/base/utf8.h"
#include "cli/profile/frame_finder.h"
#include "cli/profile/module_table.h"
#include "cli/profile/profile_rows.h"
#include "cli/profile/stack_text.h"

namespace leakwatch {

namespace {

struct Amount {
  std::int64_t objects = 0;
  std::int64_t bytes = 0;

  Amount& operator+=(const Amount& other) {
    add(objects, other.objects);
    add(bytes, other.bytes);
    return *this;
  }

 private:
  static void add(std::int64_t& sum, std::int64_t more) {
    if (__builtin_add_overflow(sum, more, &sum)) sum = std::numeric_limits<std::int64_t>::max();
  }
};

std::int64_t at_least_one(double number) {
  constexpr double kLargest = 9.2e18;
  return std::max<std::int64_t>(1, std::llround(std::min(number, kLargest)));
}

// The inverse of what a reader does: of objects of this size, so many were sampled.
Amount sampled(const Amount& scaled, std::int64_t interval) {
  if (scaled.objects <= 0) return {};
  if (interval <= 1 || scaled.bytes <= 0) return scaled;
  const double size = static_cast<double>(scaled.bytes) / static_cast<double>(scaled.objects);
  const double probability = -std::expm1(-size / static_cast<double>(interval));
  const std::int64_t objects = at_least_one(static_cast<double>(scaled.objects) * probability);
  return {objects, at_least_one(size * static_cast<double>(objects))};
}

// One stack, as its line shows it.
struct Entry {
  Amount live;
  Amount allocated;
  StackTrace stack;
};

class HeapText {
 public:
  HeapText(const ProfileContent& content, const SymbolLookup& symbols, const ModuleTable& modules,
           const ProfileRows& rows)
      : content_(content), modules_(modules.modules()), frames_(modules_, symbols) {
    for (const ProfileRows::Row& row : rows.rows()) entries_.push_back(entry(row, rows));
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      if (a.live.bytes != b.live.bytes) return a.live.bytes > b.live.bytes;
      if (a.allocated.bytes != b.allocated.bytes) return a.allocated.bytes > b.allocated.bytes;
      return std::ranges::lexicographical_compare(a.stack, b.stack, {}, &CodeAddress::address, &CodeAddress::address);
    });
  }

  std::string text() {
    add_header();
    for (const Entry& each : entries_) add_entry(each);
    for (const std::string& comment : content_.comments) text_ += "# " + on_one_line(comment) + "\n";
    return text_ + "\n" + mapped_libraries(modules_);
  }

 private:
  Entry entry(const ProfileRows::Row& row, const ProfileRows& rows) const {
    return {sampled({row.values[2], row.values[3]}, content_.period),
            sampled({row.values[0], row.values[1]}, content_.period), rows.stack(row)};
  }

  // The sums of the rows. But as Go does, never as many bytes allocated as live: a reader takes these two for columns
  // that are not there, leaves the allocated ones out, and then finds that the profile differs from others in form. It
  // makes no other use of them.
  void add_header() {
    Amount live;
    Amount allocated;
    for (const Entry& each : entries_) {
      live += each.live;
      allocated += each.allocated;
    }
    if (live.bytes == allocated.bytes) allocated += {0, 1};
    text_ += "heap profile: ";
    add_amounts(live, allocated);
    fmt::format_to(std::back_inserter(text_), " @ heap/{}\n", 2 * static_cast<std::uint64_t>(content_.period));
  }

  void add_entry(const Entry& each) {
    add_amounts(each.live, each.allocated);
    text_ += address_list(each.stack) + '\n';
    text_ += symbol_lines(each.stack, frames_);
  }

  void add_amounts(const Amount& live, const Amount& allocated) {
    fmt::format_to(std::back_inserter(text_), "{}: {} [{}: {}]", live.objects, live.bytes, allocated.objects,
                   allocated.bytes);
  }

  const ProfileContent& content_;
  const std::vector<Module>& modules_;
  FrameFinder frames_;
  std::vector<Entry> entries_;
  std::string text_;
};

}  // namespace

std::string heap_text(const ProfileContent& content, const SymbolLookup& symbols, const ProfileLimits& limits) {
  const ModuleTable modules(content);
  ProfileRows rows(content, modules);
  return within_limits(rows, limits, [&] { return HeapText(content, symbols, modules, rows).text(); });
}

}  // namespace leakwatch
