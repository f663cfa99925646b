// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/process/stat_file.h"

#include <fmt/format.h>

#include <sstream>

#include "cli/process/thread_files.h"
#include "symbolize/kernel_file.h"

namespace leakwatch {

std::vector<std::string> stat_fields(pid_t pid) {
  const std::string text = read_kernel_file(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::vector<std::string> fields(3);
  std::istringstream in(text.substr(name_end + 1));
  for (std::string field; in >> field;) fields.push_back(field);
  return fields;
}

// Places of the program's code and of its stack with the arguments on it. The code is at 1 for whoever may not know it,
// and at 0 while the kernel is about to execute a program, which is as good as the next layout.
std::string memory_layout(pid_t pid) {
  const std::vector<std::string> fields = stat_fields(living_thread(pid));
  constexpr std::size_t kMemory = 23, kStartCode = 26, kStartStack = 28, kStartArguments = 48;
  if (fields.size() <= kStartArguments || fields[kMemory] == "0" || fields[kStartCode] == "1") return {};
  return fields[kStartCode] + ' ' + fields[kStartStack] + ' ' + fields[kStartArguments];
}

bool has_executed_since(pid_t pid, const std::string& layout) {
  const std::string now = memory_layout(pid);
  return !layout.empty() && !now.empty() && now != layout;
}

}  // namespace leakwatch
