// SPDX-License-Identifier: Apache-2.0
//
// See the header. Nothing is executed to find out: env(1)'s argument is read as env would read it.

#include "cli/join/command_path.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "cli/base/refusal.h"

namespace leakwatch {

namespace {

constexpr int kMaxScripts = 5;                 // as the kernel: then it gives up with ELOOP
constexpr std::size_t kScriptHeadBytes = 256;  // as much as the kernel reads of a #! line
constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kDefaultPath = "/bin:/usr/bin";  // what execvp takes when PATH is not set

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

struct SearchResult {
  std::string file;         // "" if nothing can be executed
  std::string not_allowed;  // the first file of that name that cannot be
};

bool can_execute(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

std::string search_path() {
  const char* path = getenv("PATH");
  return path != nullptr ? path : std::string(kDefaultPath);
}

SearchResult search(const std::string& name, std::string_view folders) {
  SearchResult result;
  while (true) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::string folder(end == 0 ? "." : folders.substr(0, end));
    const std::string candidate = fmt::format("{}/{}", folder, name);
    struct stat status = {};
    if (stat(candidate.c_str(), &status) == 0) {
      if (S_ISREG(status.st_mode) && can_execute(candidate)) return {candidate, {}};
      if (result.not_allowed.empty()) result.not_allowed = candidate;
    }
    if (end == folders.size()) return result;
    folders.remove_prefix(end + 1);
  }
}

void require_executable(const std::string& path, const std::string& subject) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    const bool is_missing = errno == ENOENT || errno == ENOTDIR;
    if (is_missing) refuse(fmt::format("{} does not exist. Check the path.", subject), kNotFound);
    refuse(fmt::format("{} cannot be reached: {}.", subject, std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) refuse(fmt::format("{} is a folder. Name the program in it.", subject));
  if (!S_ISREG(status.st_mode)) refuse(fmt::format("{} is not a regular file, so it cannot be executed.", subject));
  if (!can_execute(path)) {
    refuse(fmt::format("{} is not executable by this user. chmod +x, or another mount or user, would help.", subject));
  }
}

}  // namespace

std::string find_command(const std::string& command) {
  if (command.find('/') != std::string::npos) {
    require_executable(command, command);
    return command;
  }
  if (command.empty()) refuse("The name of the program is empty. Give its path, or its name on PATH.", kNotFound);
  const SearchResult found = search(command, search_path());
  if (!found.file.empty()) return found.file;
  if (!found.not_allowed.empty()) require_executable(found.not_allowed, found.not_allowed);
  const bool is_here = access(command.c_str(), F_OK) == 0;
  const std::string hint = is_here ? fmt::format("write ./{} for the one in this folder", command) : "give its path";
  refuse(fmt::format("{} was not found in any folder of PATH: {}.", command, hint), kNotFound);
}

namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

struct ScriptLine {
  std::string interpreter;
  std::string argument;  // all the rest of the line: the kernel does not split it
};

std::optional<ScriptLine> parse_script_line(std::string_view head) {
  if (!head.starts_with("#!")) return std::nullopt;
  const std::size_t line_bytes = std::min(head.find_first_of(std::string_view("\n\0", 2)), head.size()) - 2;
  std::string_view line = head.substr(2, line_bytes);
  const std::string interpreter(take_word(line));
  const bool is_cut = head.size() == kScriptHeadBytes && 2 + line_bytes == head.size() && line.empty();
  if (interpreter.empty() || is_cut) return std::nullopt;  // the kernel refuses both, and execvp takes the shell
  return ScriptLine{interpreter, std::string(line)};
}

// What env(1) makes of its one argument: a name, or after -S a line of options, assignments and then a name.
struct EnvArgument {
  std::string program;
  std::string path = search_path();
  bool clears_environment = false;
};

bool is_split_option(std::string_view word) {
  const bool is_short = word.size() > 1 && word[0] == '-' && word[1] != '-';
  return word.starts_with("--split-string") || (is_short && word.find('S') != std::string_view::npos);
}

bool clears_environment(std::string_view word) {
  if (word == "-" || word == "--ignore-environment") return true;
  const bool is_short = word.size() > 1 && word[0] == '-' && word[1] != '-';
  return is_short && word.substr(0, word.find('S')).find('i') != std::string_view::npos;
}

// "-Sname", "-vS name", "--split-string=name": what follows the option in its own word.
std::string_view after_split_option(std::string_view word) {
  if (!word.starts_with("--")) return word.substr(word.find('S') + 1);
  const std::size_t equals = word.find('=');
  return equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
}

EnvArgument parse_env_argument(std::string_view argument) {
  EnvArgument result;
  while (!argument.empty() && result.program.empty()) {
    std::string_view word = take_word(argument);
    if (clears_environment(word)) result.clears_environment = true;
    if (is_split_option(word)) word = after_split_option(word);
    if (word.empty()) continue;
    if (word == "-u" || word == "-C") take_word(argument);
    if (word[0] == '-') continue;
    if (word.starts_with("PATH=")) result.path = word.substr(5);
    if (word.find('=') == std::string_view::npos) result.program = word;
  }
  return result;
}

void require_interpreter(const std::string& interpreter, const std::string& script) {
  try {
    require_executable(interpreter, fmt::format("{}, the interpreter of {},", interpreter, script));
  } catch (const Error& error) {
    refuse(error.what());  // the script itself was found, so this is no "not found"
  }
}

std::string env_target(const std::string& script, const std::string& argument) {
  EnvArgument wanted = parse_env_argument(argument);
  // Without an option the whole argument is the name, blanks and all.
  if (!argument.empty() && argument[0] != '-' && !wanted.program.empty()) wanted.program = argument;
  if (wanted.program.empty()) {
    refuse(fmt::format("The first line of {} calls env without naming an interpreter. Name one there.", script));
  }
  if (wanted.clears_environment) {
    refuse(
        fmt::format("The first line of {} has env clear the environment, and with it what loads leakwatch. Start {} "
                    "with the script as its argument instead.",
                    script, wanted.program));
  }
  if (wanted.program.find('/') != std::string::npos) {
    require_interpreter(wanted.program, script);
    return wanted.program;
  }
  const SearchResult found = search(wanted.program, wanted.path);
  if (!found.file.empty()) return found.file;
  refuse(fmt::format("{} is to run by {}, which was not found in any folder of PATH. Install it, or add its folder.",
                     script, wanted.program));
}

std::string read_head(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    refuse(
        fmt::format("{} cannot be read, so leakwatch cannot tell whether it can be watched: {}. Give this user the "
                    "right to read it.",
                    path, std::strerror(errno)));
  }
  std::array<char, kScriptHeadBytes> head;
  const ssize_t count = pread(fd, head.data(), head.size(), 0);
  close(fd);
  return {head.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
}

std::string interpreter_of(const std::string& script, const std::string& head) {
  const std::optional<ScriptLine> line = parse_script_line(head);
  if (!line) {
    if (head.find('\0') == std::string::npos) return "/bin/sh";  // execvp's last resort, for text without #!
    refuse(
        fmt::format("{} is neither an ELF program nor a script. Name the program that runs it, and give it as the "
                    "argument.",
                    script));
  }
  require_interpreter(line->interpreter, script);
  return base_name(line->interpreter) == "env" ? env_target(script, line->argument) : line->interpreter;
}

}  // namespace

std::string follow_scripts(const std::string& command) {
  std::string file = command;
  for (int depth = 0; depth <= kMaxScripts; ++depth) {
    const std::string head = read_head(file);
    if (head.starts_with(ELFMAG)) return file;
    file = interpreter_of(file, head);
  }
  refuse(fmt::format("{} leads from #! line to #! line, more than {} of them. Let it name a program.", command,
                     kMaxScripts));
}

}  // namespace leakwatch
