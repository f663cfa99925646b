// SPDX-License-Identifier: Apache-2.0
//
// A folder of a test's own, gone with everything in it when the test ends, however it ends.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace leakwatch {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::canonical(std::filesystem::temp_directory_path()) / "leakwatch-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;  // a destructor has nobody to tell
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace leakwatch
