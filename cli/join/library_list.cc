// SPDX-License-Identifier: Apache-2.0
//
// Runs `LOADER --list EXECUTABLE` and reads its answer through a pipe. The loader is a program that a file named to us,
// so it gets a deadline and a bound on what it may print; a loader that breaks either is killed and counts as silent.
// Must never leave a child or a descriptor behind, and never wait without limit.
#include "cli/join/library_list.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

namespace leakwatch {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxOutputBytes = 1 << 20;

// The loader takes a name that begins with a dash for an option, and the kernel tells a program its real path too.
std::string absolute_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr), &std::free);
  return resolved ? resolved.get() : path;
}

std::optional<pid_t> spawn_loader(std::string loader, std::string executable, int output_fd) {
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return std::nullopt;
  std::string option = "--list";
  std::array<char*, 4> arguments = {loader.data(), option.data(), executable.data(), nullptr};
  pid_t pid = 0;
  const bool started = posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO) == 0 &&
                       posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
                       posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
                       posix_spawn(&pid, loader.c_str(), &actions, nullptr, arguments.data(), environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  return started ? std::optional(pid) : std::nullopt;
}

bool wait_readable(int fd, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting = {fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// nullopt: too late, too much, or unreadable.
std::optional<std::string> read_to_end(int fd, Clock::time_point deadline) {
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() <= kMaxOutputBytes && wait_readable(fd, deadline)) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count == 0) return text;
    if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
    if (count < 0 && errno != EINTR) return std::nullopt;
  }
  return std::nullopt;
}

bool ended_well(pid_t pid, Clock::time_point deadline) {
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() >= deadline) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return false;
    }
    // It has closed its output and is on its way out: no need for anything finer.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string ask_loader(const std::string& loader, const std::string& executable, std::chrono::milliseconds time_limit) {
  std::array<int, 2> ends = {};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const std::optional<pid_t> pid = spawn_loader(loader, absolute_path(executable), ends[1]);
  close(ends[1]);
  const auto deadline = Clock::now() + time_limit;
  std::optional<std::string> text;
  if (pid) text = read_to_end(ends[0], deadline);
  close(ends[0]);
  const bool good = pid && ended_well(*pid, text ? deadline : Clock::now());
  return good && text ? *text : std::string();
}

std::string_view path_in_line(std::string_view line) {
  constexpr std::string_view kArrow = " => ";
  const std::size_t arrow = line.find(kArrow);
  if (arrow != std::string_view::npos) line.remove_prefix(arrow + kArrow.size());
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const std::size_t address = line.rfind(" (0x");
  if (address == std::string_view::npos) return {};
  line = line.substr(0, address);
  // The vDSO has a name and no file.
  return line.find('/') == std::string_view::npos ? std::string_view() : line;
}

}  // namespace

std::vector<std::string> parse_library_list(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view path = path_in_line(text.substr(0, end));
    if (!path.empty()) paths.emplace_back(path);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return paths;
}

std::vector<std::string> list_libraries(const std::string& loader, const std::string& executable,
                                        std::chrono::milliseconds time_limit) {
  return parse_library_list(ask_loader(loader, executable, time_limit));
}

}  // namespace leakwatch
