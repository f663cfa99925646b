// SPDX-License-Identifier: Apache-2.0
//
// See the header. A thousand threads are two thousand lines, so this parses by hand.

#include "symbolize/process_maps.h"

#include <algorithm>
#include <charconv>

#include "symbolize/kernel_file.h"

namespace leakwatch {

namespace {

// Takes the text up to a separator off the front; blanks before it are no part of it.
std::string_view take(std::string_view& line, char separator) {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  const std::size_t end = std::min(line.find(separator), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

bool parse_number(std::string_view word, int base, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  return error == std::errc() && end == word.data() + word.size() && !word.empty();
}

// "start-limit rwxp offset device inode   name"
bool parse_line(std::string_view line, MemoryMapping& mapping) {
  if (!parse_number(take(line, '-'), 16, mapping.start) || !parse_number(take(line, ' '), 16, mapping.limit)) {
    return false;
  }
  const std::string_view permissions = take(line, ' ');
  if (permissions.size() < 3 || !parse_number(take(line, ' '), 16, mapping.file_offset)) return false;
  mapping.readable = permissions[0] == 'r';
  mapping.writable = permissions[1] == 'w';
  mapping.executable = permissions[2] == 'x';
  mapping.device = take(line, ' ');
  if (!parse_number(take(line, ' '), 10, mapping.inode)) return false;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  mapping.name = line;
  return mapping.start < mapping.limit;
}

}  // namespace

std::vector<MemoryMapping> parse_maps(std::string_view text) {
  std::vector<MemoryMapping> mappings;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    MemoryMapping mapping;
    if (parse_line(text.substr(0, end), mapping)) mappings.push_back(std::move(mapping));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return mappings;
}

std::string read_maps_text(pid_t pid) {
  return read_kernel_file("/proc/" + std::to_string(pid) + "/maps");
}

const MemoryMapping* find_mapping(const std::vector<MemoryMapping>& mappings, std::uint64_t address) {
  const auto next =
      std::upper_bound(mappings.begin(), mappings.end(), address,
                       [](std::uint64_t value, const MemoryMapping& mapping) { return value < mapping.start; });
  if (next == mappings.begin()) return nullptr;
  const MemoryMapping& mapping = *std::prev(next);
  return address < mapping.limit ? &mapping : nullptr;
}

}  // namespace leakwatch
