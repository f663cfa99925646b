// SPDX-License-Identifier: Apache-2.0
//
// The real `go tool pprof`, where one is installed.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/base/gzip.h"
#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {

inline bool contains(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

struct CommandResult {
  int status = -1;
  std::string output;  // both streams: a complaint is as interesting as an answer
};

inline CommandResult run(const std::string& command) {
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  CommandResult result;
  std::array<char, 4096> buffer{};
  for (std::size_t count = 0; (count = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    result.output.append(buffer.data(), count);
  }
  result.status = pclose(pipe);
  return result;
}

inline bool have_go() {
  static const bool kHaveGo = run("go version").status == 0;
  if (!kHaveGo) WARN("no go on PATH: profiles were not tried on go tool pprof");
  return kHaveGo;
}

class ProfileFiles {
 public:
  // A profile, which is compressed, or text, which is not.
  std::string write(const std::string& name, const std::string& profile_bytes) const {
    return write_text(name, gzip(profile_bytes));
  }
  std::string write_text(const std::string& name, const std::string& text) const {
    std::string path = (folder_.path() / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  TemporaryFolder folder_;
};

// Fails when pprof fails, or when it had to look for symbols by itself.
inline std::string pprof(const std::string& arguments) {
  const CommandResult result = run("go tool pprof " + arguments);
  INFO("go tool pprof " << arguments << "\n" << result.output);
  REQUIRE(result.status == 0);
  REQUIRE_FALSE(contains(result.output, "ymbolization"));
  REQUIRE_FALSE(contains(result.output, "not available"));
  return result.output;
}

// The lines between "Samples:" and "Locations" of -raw, without the line that names the columns.
inline std::vector<std::string> raw_samples(const std::string& raw) {
  std::vector<std::string> lines;
  std::istringstream stream(raw.substr(raw.find("Samples:\n")));
  std::string line;
  std::getline(stream, line);
  std::getline(stream, line);
  while (std::getline(stream, line) && line != "Locations") lines.push_back(line);
  return lines;
}

// The sums of all samples' values, as `go tool pprof` reads a profile of any form.
inline std::vector<std::int64_t> totals_read(const std::string& path) {
  std::vector<std::int64_t> sums;
  for (const std::string& line : raw_samples(pprof("-raw -symbolize=none " + path))) {
    if (!contains(line, ": ") || contains(line, ":[")) continue;  // labels are on lines of their own
    std::istringstream values(line.substr(0, line.find(':')));
    std::int64_t value = 0;
    for (std::size_t i = 0; values >> value; ++i) {
      if (i == sums.size()) sums.push_back(0);
      sums[i] += value;
    }
  }
  return sums;
}

}  // namespace leakwatch
