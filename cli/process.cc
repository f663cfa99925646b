// SPDX-License-Identifier: Apache-2.0
//
// Readers of /proc. See the header.

#include "cli/process.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace leakwatch {

namespace {

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

}  // namespace

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file(proc_path(pid, "statm"));
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

std::string working_folder(pid_t pid) {
  return link_target(proc_path(pid, "cwd"));
}

std::string command_line(pid_t pid) {
  std::ifstream file(proc_path(pid, "cmdline"), std::ios::binary);
  std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  while (!line.empty() && line.back() == '\0') line.pop_back();
  for (char& c : line) {
    if (c == '\0') c = ' ';
  }
  return line;
}

// A line of maps: start-limit permissions offset device inode path.
Module main_executable(pid_t pid) {
  Module module;
  const std::string named = link_target(proc_path(pid, "exe"));
  module.path = without_deleted(named);
  std::ifstream maps(proc_path(pid, "maps"));
  for (std::string line; std::getline(maps, line);) {
    std::istringstream in(line);
    std::string range, permissions, offset, device, inode, path;
    in >> range >> permissions >> offset >> device >> inode;
    std::getline(in >> std::ws, path);
    if (path != named || permissions.size() < 3 || permissions[2] != 'x') continue;
    const std::size_t dash = range.find('-');
    module.segments.push_back({std::stoull(range.substr(0, dash), nullptr, 16),
                               std::stoull(range.substr(dash + 1), nullptr, 16), std::stoull(offset, nullptr, 16)});
  }
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
  return {pid, command_line(pid), working_folder(pid), foreign_root(pid), true, main_executable(pid)};
}

}  // namespace leakwatch
