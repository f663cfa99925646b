// SPDX-License-Identifier: Apache-2.0
//
// The address space of a process as /proc/PID/maps lists it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace leakwatch {

struct MemoryMapping {
  std::uint64_t start = 0;
  std::uint64_t limit = 0;
  std::uint64_t file_offset = 0;
  std::string device;  // as the kernel writes it; with the inode it tells files apart
  std::uint64_t inode = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  std::string name;  // the path, still with " (deleted)", or "[stack]" and the like

  bool is_same_file(const MemoryMapping& other) const {
    return inode == other.inode && device == other.device && name == other.name;
  }
};

// By rising address. A line that is none of the kernel's is left out.
std::vector<MemoryMapping> parse_maps(std::string_view text);

std::string read_maps_text(pid_t pid);  // empty when it cannot be read

// The mapping with the address, null when there is none.
const MemoryMapping* find_mapping(const std::vector<MemoryMapping>& mappings, std::uint64_t address);

}  // namespace leakwatch
