// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/process/status_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>

#include "symbolize/kernel_file.h"

namespace leakwatch {

StatusFile StatusFile::of_process(pid_t pid) {
  return StatusFile(read_kernel_file(fmt::format("/proc/{}/status", pid)));
}

StatusFile StatusFile::of_thread(pid_t pid, pid_t tid) {
  return StatusFile(read_kernel_file(fmt::format("/proc/{}/task/{}/status", pid, tid)));
}

bool StatusFile::has_ended() const {
  const char state = text("State").value_or("X").front();
  return state == 'Z' || state == 'X' || (!text("VmSize") && !is_kernel_thread());
}

// It ignores all signals, and among them the one that no process can ignore.
bool StatusFile::is_kernel_thread() const {
  constexpr std::uint64_t kKill = std::uint64_t{1} << (SIGKILL - 1);
  return !is_empty() && !text("VmSize") && (number("SigIgn", 16) & kKill) != 0;
}

std::optional<std::string_view> StatusFile::text(std::string_view name) const {
  std::string_view rest = text_;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.starts_with(name) || !line.substr(name.size()).starts_with(':')) continue;
    line.remove_prefix(name.size() + 1);
    const std::size_t first = line.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view() : line.substr(first);
  }
  return std::nullopt;
}

std::uint64_t StatusFile::number(std::string_view name, int base) const {
  const std::string_view word = text(name).value_or("");
  std::uint64_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value, base);
  return value;
}

std::uint32_t StatusFile::file_identity(std::string_view name) const {
  const std::string_view identities = text(name).value_or("");
  const std::size_t last = identities.find_last_of(" \t") + 1;
  std::uint32_t value = 0;
  std::from_chars(identities.data() + last, identities.data() + identities.size(), value);
  return value;
}

}  // namespace leakwatch
