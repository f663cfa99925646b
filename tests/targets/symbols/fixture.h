// SPDX-License-Identifier: Apache-2.0
//
// Builds the sources of this folder while a test runs, in one layout after another (DWARF versions, stripped, separate
// debug files), and asks nm and readelf for the expected answers, which thus never come from the code under test.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "symbolize/module.h"
#include "symbolize/symbolizer.h"

namespace leakwatch {

// For the messages of failing comparisons. It stands here and not in one test, as all that compare frames must agree.
inline std::ostream& operator<<(std::ostream& stream, const Frame& frame) {
  return stream << frame.function << " (" << frame.system_name << ") " << frame.file << ':' << frame.line << " from "
                << frame.start_line;
}

namespace fixture {

using Path = std::filesystem::path;
using Arguments = std::vector<std::string>;

// The folder of the sources: given by the build, or else found beside this header.
inline Path source(const std::string& name) {
#ifdef LEAKWATCH_SOURCE_ROOT
  return Path(LEAKWATCH_SOURCE_ROOT) / "tests/targets/symbols" / name;
#else
  return std::filesystem::canonical(Path(__FILE__).parent_path() / name);
#endif
}

inline Arguments words(const std::string& text) {
  std::istringstream stream(text);
  Arguments result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

// Runs a command without a shell, so that no name needs quoting. Throws, and so fails the test, unless it succeeds.
inline void run(const Arguments& command) {
  std::vector<char*> pointers;
  for (const std::string& word : command) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = 0;
  int status = -1;
  if (posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) == 0) waitpid(pid, &status, 0);
  if (status != 0) throw std::runtime_error("failed: " + command.front() + " … " + command.back());
}

// Compiles a source with GCC, whichever compiler builds the project: clang names more of the inlined functions, so the
// exact expectations would not be the same.
inline void compile(const std::string& name, const std::string& flags, const Path& output) {
  Arguments command{name.ends_with(".c") ? "gcc" : "g++"};
  for (const std::string& flag : words(flags)) command.push_back(flag);
  for (const std::string& word : {std::string("-o"), output.string(), source(name).string()}) command.push_back(word);
  run(command);
}

inline std::string output_of(const std::string& command) {
  const auto close = [](std::FILE* stream) { pclose(stream); };
  const std::unique_ptr<std::FILE, decltype(close)> stream(popen(command.c_str(), "r"), close);
  std::string text;
  for (int byte = 0; stream != nullptr && (byte = std::fgetc(stream.get())) != EOF;) text += static_cast<char>(byte);
  return text;
}

// A symbol's address as nm prints it.
inline std::uint64_t address_of(const Path& file, const std::string& symbol, const std::string& options = "") {
  std::istringstream lines(output_of("nm " + options + " '" + file.string() + "'"));
  for (std::string line; std::getline(lines, line);) {
    const Arguments columns = words(line);
    if (columns.size() == 3 && columns[2] == symbol) return std::stoull(columns[0], nullptr, 16);
  }
  throw std::runtime_error("no symbol " + symbol);
}

inline std::string build_id_of(const Path& file) {
  const Arguments text = words(output_of("readelf -n '" + file.string() + "'"));
  for (std::size_t index = 0; index + 2 < text.size(); ++index) {
    if (text[index] == "Build" && text[index + 1] == "ID:") return text[index + 2];
  }
  throw std::runtime_error("no build id in " + file.string());
}

// The line that ends with the comment `// marker`, from 1.
inline int line_of(const std::string& name, const std::string& marker) {
  std::ifstream stream(source(name));
  int number = 1;
  for (std::string line; std::getline(stream, line); ++number) {
    if (line.ends_with("// " + marker)) return number;
  }
  throw std::runtime_error("no line " + marker);
}

inline Module module_at(const Path& file, const std::string& build_id = "") {
  return {file.string(), build_id, 0, {}};
}

}  // namespace fixture
}  // namespace leakwatch
