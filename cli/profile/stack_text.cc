// SPDX-License-Identifier: Apache-2.0
//
// See the header. Names come out of the target's files: none of them may begin a line of its own.

#include "cli/profile/stack_text.h"

#include <fmt/format.h>

#include <iterator>

#include "cli/base/utf8.h"
#include "cli/profile/module_table.h"

namespace leakwatch {

namespace {

void add_symbol_line(std::string& text, std::uint64_t address, const Frame& frame) {
  fmt::format_to(std::back_inserter(text), "#\t{:#x}\t{}", address, on_one_line(frame.function));
  if (!frame.file.empty()) fmt::format_to(std::back_inserter(text), "\t{}:{}", on_one_line(frame.file), frame.line);
  text += '\n';
}

}  // namespace

std::string address_list(const StackTrace& stack) {
  std::string text = " @";
  for (const CodeAddress& address : stack) fmt::format_to(std::back_inserter(text), " {:#x}", address.address + 1);
  return text;
}

std::string symbol_lines(const StackTrace& stack, FrameFinder& frames) {
  std::string text;
  for (const CodeAddress& address : stack) {
    for (const Frame& frame : frames.at(address)) add_symbol_line(text, address.address, frame);
  }
  return text + '\n';
}

std::string mapped_libraries(const std::vector<Module>& modules) {
  std::string text = "MAPPED_LIBRARIES:\n";
  for (const Module& module : modules) {
    for (const Segment& segment : module.segments) {
      fmt::format_to(std::back_inserter(text), "{:x}-{:x} r-xp {:08x} 00:00 0 {}\n", segment.start, segment.limit,
                     segment.file_offset, on_one_line(without_deleted(module.path)));
    }
  }
  return text;
}

}  // namespace leakwatch
