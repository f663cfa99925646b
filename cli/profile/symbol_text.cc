// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/symbol_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>

#include "cli/base/utf8.h"
#include "cli/profile/frame_finder.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

namespace {

// As Go reads it: "0x" for hexadecimal, a leading 0 for octal. 0 for what is no number.
std::uint64_t number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with('0')) {
    base = 8;
  }
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, base);
  return error == std::errc() && stopped == end ? value : 0;
}

bool holds(const Module& module, std::uint64_t address) {
  return std::any_of(module.segments.begin(), module.segments.end(),
                     [address](const Segment& segment) { return segment.start <= address && address < segment.limit; });
}

// The module that came last, if two were there one after the other. Marks are in our text forms, and pprof asks here
// for their names.
CodeAddress located(std::uint64_t address, const std::vector<Module>& modules) {
  if (is_mark(address)) return {address, CodeAddress::kMarkFrame};
  const auto module =
      std::find_if(modules.rbegin(), modules.rend(), [address](const Module& each) { return holds(each, address); });
  if (module == modules.rend()) return {address, CodeAddress::kNoModule};
  return {address, static_cast<std::uint32_t>(modules.rend() - module) - 1};
}

}  // namespace

std::string symbol_text(std::string_view addresses, const std::vector<Module>& modules, const SymbolLookup& symbols) {
  std::string text = "num_symbols: 1\n";
  FrameFinder frames(modules, symbols);
  while (!addresses.empty()) {
    const std::string_view word = addresses.substr(0, addresses.find('+'));
    addresses.remove_prefix(std::min(word.size() + 1, addresses.size()));
    const std::uint64_t address = number(word);
    if (address == 0) continue;
    const CodeAddress place = located(address, modules);
    if (place.module == CodeAddress::kNoModule) continue;
    const Frame& innermost = frames.at(place).front();
    fmt::format_to(std::back_inserter(text), "{:#x} {}\n", address, on_one_line(innermost.system_name));
  }
  return text;
}

}  // namespace leakwatch
