// SPDX-License-Identifier: Apache-2.0

#include "cli/process/shared_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

SharedFolder make_folder() {
  return {getpid(), geteuid(), getegid(), SharedFolder::Purpose::kSocket};
}

// A folder as one has it that was killed, beside those of the living.
std::filesystem::path leave_behind(int number, const char* file) {
  const std::filesystem::path parent = std::filesystem::path(make_folder().path()).parent_path();
  std::filesystem::path path = parent / fmt::format("leakwatch-{:08x}{:08x}", getpid(), number);
  std::filesystem::create_directory(path);
  std::ofstream(path / file) << "left behind";
  return path;
}

TEST_CASE("what was left behind goes when the next folder is made", "[attach]") {
  const std::filesystem::path with_socket = leave_behind(1, "socket");
  const std::filesystem::path with_object = leave_behind(2, "libleakwatch.so");
  REQUIRE(std::filesystem::exists(with_object));
  const SharedFolder next = make_folder();
  CHECK(!std::filesystem::exists(with_socket));
  CHECK(!std::filesystem::exists(with_object));
}

TEST_CASE("the folder of one that lives stays", "[attach]") {
  const SharedFolder living = make_folder();
  std::ofstream(living.own_path() + "/socket") << "in use";
  const SharedFolder next = make_folder();
  CHECK(std::filesystem::exists(living.path() + "/socket"));
}

TEST_CASE("a folder with what is not ours stays, with all of it", "[attach]") {
  const auto foreign = leave_behind(3, "letter");
  std::ofstream(foreign / "socket") << "somebody's";
  const SharedFolder next = make_folder();
  CHECK(std::filesystem::exists(foreign / "letter"));
  CHECK(std::filesystem::exists(foreign / "socket"));
  std::filesystem::remove_all(foreign);
}

}  // namespace
}  // namespace leakwatch
