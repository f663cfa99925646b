// SPDX-License-Identifier: Apache-2.0
//
// Readers of /proc. See the header.

#include "cli/process/process.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "cli/process/elf_file.h"
#include "cli/process/stat_file.h"
#include "cli/process/thread_files.h"
#include "symbolize/file_identity.h"
#include "symbolize/kernel_file.h"
#include "symbolize/process_maps.h"

namespace leakwatch {

namespace {

constexpr std::uint64_t kPageMask = 4095;

std::string proc_path(pid_t pid, const char* name) {
  return fmt::format("/proc/{}/{}", pid, name);
}

std::string link_target(const std::string& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error).string();
}

std::string without_deleted(std::string path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

// Run-time address minus the one in the headers, told by the first mapping that is the beginning of a segment.
std::optional<std::uint64_t> bias_of(const std::vector<Elf64_Phdr>& segments, const std::vector<MemoryMapping>& code) {
  for (const MemoryMapping& mapping : code) {
    for (const Elf64_Phdr& segment : segments) {
      if (mapping.file_offset == (segment.p_offset & ~kPageMask)) return mapping.start - (segment.p_vaddr & ~kPageMask);
    }
  }
  return std::nullopt;
}

// 0 when there is no such clock.
std::uint64_t clock_ns(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file(proc_path(living_thread(pid), "statm"));
  std::uint64_t total = 0, resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t thread_count(pid_t pid) {
  std::ifstream file(proc_path(pid, "status"));
  std::uint64_t count = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Threads:")) count = std::strtoull(line.c_str() + std::strlen("Threads:"), nullptr, 10);
  }
  return count;
}

// Of a clock of the kernel's, as stat has hundredths of a second only.
std::uint64_t processor_ns(pid_t pid) {
  clockid_t clock = 0;
  return clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0;
}

std::uint64_t own_thread_processor_ns() {
  return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

std::string working_folder(pid_t pid) {
  return link_target(proc_path(pid, "cwd"));
}

std::vector<std::string> command_words(pid_t pid) {
  std::ifstream file(proc_path(pid, "cmdline"), std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  // A program that renames itself (nginx, postgres) pads what is left of its arguments.
  while (!words.empty() && words.back().empty()) words.pop_back();
  return words;
}

std::string command_line(pid_t pid) {
  return fmt::format("{}", fmt::join(command_words(pid), " "));
}

Module main_executable(pid_t pid) {
  const std::string named = link_target(proc_path(pid, "exe"));
  std::vector<MemoryMapping> code = parse_maps(read_maps_text(pid));
  std::erase_if(code, [&](const MemoryMapping& mapping) { return !mapping.executable || mapping.name != named; });
  Module module;
  module.path = without_deleted(named);
  const MappedFile file(proc_path(pid, "exe"));  // the very one that runs, whatever its path names now
  const std::vector<Elf64_Phdr> segments = ElfFile(file.bytes()).code_segments();
  if (const auto bias = bias_of(segments, code)) {
    module.build_id = build_id_of(proc_path(pid, "exe"));
    module.bias = *bias;
    // The process's map may have a segment in pieces, after an mprotect; the headers have it whole.
    for (const Elf64_Phdr& segment : segments) {
      const std::uint64_t start = *bias + segment.p_vaddr;
      if (const auto pages = in_whole_pages({start, start + segment.p_memsz, segment.p_offset}))
        module.segments.push_back(*pages);
    }
    return module;
  }
  for (const MemoryMapping& mapping : code)
    module.segments.push_back({mapping.start, mapping.limit, mapping.file_offset});
  return module;
}

// NSpid in status: the numbers from our namespace inwards.
std::uint32_t own_thread_number(pid_t pid, pid_t tid) {
  std::ifstream status(fmt::format("/proc/{}/task/{}/status", pid, tid));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const std::size_t last = line.find_last_of(" \t");
    return static_cast<std::uint32_t>(std::strtoul(line.c_str() + last + 1, nullptr, 10));
  }
  return 0;
}

bool is_ending(pid_t pid) {
  const pid_t thread = living_thread(pid);
  const std::vector<std::string> fields = stat_fields(thread);
  constexpr std::size_t kState = 3, kFlags = 9;
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING of the kernel
  if (fields.size() <= kFlags || fields[kState] == "Z" || fields[kState] == "X") return true;
  if ((std::strtoul(fields[kFlags].c_str(), nullptr, 10) & kExiting) != 0) return true;
  std::ifstream status(proc_path(thread, "status"));
  for (std::string line; std::getline(status, line);) {
    constexpr unsigned long long kKill = 1ULL << (SIGKILL - 1);
    const bool is_pending = line.starts_with("SigPnd:") || line.starts_with("ShdPnd:");
    if (is_pending && (std::strtoull(line.c_str() + std::strlen("SigPnd:"), nullptr, 16) & kKill) != 0) return true;
  }
  return false;
}

bool thread_exists(pid_t pid, std::uint32_t tid) {
  return access(fmt::format("/proc/{}/task/{}", pid, tid).c_str(), F_OK) == 0;
}

std::string foreign_root(pid_t pid) {
  const std::string root = proc_path(pid, "root");
  struct stat theirs {
  }, ours{};
  if (stat((root + "/").c_str(), &theirs) != 0 || stat("/", &ours) != 0) return {};
  return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino ? std::string() : root;
}

ProcessFacts read_process_facts(pid_t pid) {
  return {pid,  command_line(pid),    working_folder(pid), foreign_root(pid),
          true, main_executable(pid), memory_layout(pid)};
}

}  // namespace leakwatch
