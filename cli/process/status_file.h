// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/status, or that of a thread: lines "Name:\tvalue", read at once so that the values are of one moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace leakwatch {

class StatusFile {
 public:
  explicit StatusFile(std::string text) : text_(std::move(text)) {}
  static StatusFile of_process(pid_t pid);
  static StatusFile of_thread(pid_t pid, pid_t tid);

  bool is_empty() const { return text_.empty(); }  // nobody is there any more
  bool is_kernel_thread() const;
  // Nor is there when it has ended, or is about to and has given up its memory.
  bool has_ended() const;
  // What follows the name, without blanks around it; nothing when the kernel has no such line.
  std::optional<std::string_view> text(std::string_view name) const;
  // The first number of a line; 0 when there is none.
  std::uint64_t number(std::string_view name, int base = 10) const;
  // The user or group by whose rights the process opens files: the last of four behind "Uid" or "Gid".
  std::uint32_t file_identity(std::string_view name) const;

 private:
  std::string text_;
};

}  // namespace leakwatch
