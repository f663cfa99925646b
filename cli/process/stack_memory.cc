// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/process/stack_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace leakwatch {

namespace {

constexpr std::uint64_t kIsPresent = std::uint64_t{1} << 63;

std::uint64_t page_bytes() {
  return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

StackRange stack_range(const std::vector<MemoryMapping>& mappings, std::uint64_t handle, std::uint64_t stack_bytes) {
  const MemoryMapping* mapping = handle == 0 ? nullptr : find_mapping(mappings, handle);
  if (mapping == nullptr || !mapping->writable) return {};
  const std::uint64_t limit = std::min((handle / page_bytes() + 1) * page_bytes(), mapping->limit);
  const std::uint64_t wanted = stack_bytes < limit ? limit - stack_bytes : 0;
  return {std::max(mapping->start, wanted), limit};
}

StackRange main_stack_range(const std::vector<MemoryMapping>& mappings) {
  const auto stack = std::find_if(mappings.begin(), mappings.end(),
                                  [](const MemoryMapping& mapping) { return mapping.name == "[stack]"; });
  return stack == mappings.end() ? StackRange() : StackRange{stack->start, stack->limit};
}

StackMemory::StackMemory(pid_t pid, std::uint64_t most_pages)
    : mappings_(parse_maps(read_maps_text(pid))),
      pages_(open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC)),
      page_bytes_(page_bytes()),
      pages_left_(most_pages) {}

std::uint64_t StackMemory::resident_bytes(StackRange range) {
  const std::uint64_t first = range.start / page_bytes_, last = (range.limit + page_bytes_ - 1) / page_bytes_;
  if (!pages_.is_open() || last <= first || last - first > pages_left_) return 0;
  pages_left_ -= last - first;
  std::uint64_t present = 0;
  std::array<std::uint64_t, 2048> words{};
  for (std::uint64_t page = first; page < last;) {
    const std::uint64_t wanted = std::min<std::uint64_t>(words.size(), last - page);
    const ssize_t size =
        pread(pages_.number(), words.data(), wanted * sizeof words[0], static_cast<off_t>(page * sizeof words[0]));
    if (size < static_cast<ssize_t>(sizeof words[0])) return 0;
    const auto count = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(size) / sizeof words[0]);
    present += static_cast<std::uint64_t>(std::count_if(words.begin(), words.begin() + count,
                                                        [](std::uint64_t word) { return (word & kIsPresent) != 0; }));
    page += static_cast<std::uint64_t>(count);
  }
  return present * page_bytes_;
}

}  // namespace leakwatch
