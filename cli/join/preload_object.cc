// SPDX-License-Identifier: Apache-2.0
//
// See the header. Found from our own place, so that an installed tree can be moved.

#include "cli/join/preload_object.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "cli/base/error.h"
#include "cli/version.h"

namespace leakwatch {

std::string preload_object(bool with_operators) {
  const char* name = with_operators ? "libleakwatch-operators.so" : "libleakwatch.so";
  std::error_code error;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  std::string looked_at;
  for (const std::filesystem::path& folder : {here / ".." / "preload", here / kObjectFolderFromCli}) {
    const std::filesystem::path candidate = (folder / name).lexically_normal();
    if (access(candidate.c_str(), R_OK) == 0) return std::filesystem::canonical(candidate).string();
    looked_at += (looked_at.empty() ? "" : ", ") + candidate.string();
  }
  throw Error(fmt::format("cannot find {} (looked at {}): install leakwatch with 'meson install', or build all of it",
                          name, looked_at));
}

}  // namespace leakwatch
