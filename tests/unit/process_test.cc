// SPDX-License-Identifier: Apache-2.0
//
// What /proc says about programs that were built and started for it.
#include "cli/process/process.h"

#include <filesystem>

#include "tests/unit/catch.h"
#include "tests/unit/spawned_program.h"

namespace leakwatch {
namespace {

constexpr const char* kTwoSegments =
    "#include <unistd.h>\n"
    "__attribute__((section(\".far\"), noinline)) void sleeper(void) { for (;;) pause(); }\n"
    "int main(void) { sleeper(); }\n";

std::uint64_t page_of(std::uint64_t address) {
  return address & ~std::uint64_t{4095};
}

TEST_CASE("the main executable is known with each of its executable segments, its bias and its build id") {
  const std::string kind = GENERATE("-pie", "-no-pie");
  INFO(kind);
  SpawnedProgram program(kTwoSegments,
                         "-Wl,--build-id=sha1,--section-start=.far=0x6000000 -f" + kind.substr(1) + " " + kind);
  REQUIRE(program.start());
  const Module module = main_executable(program.pid());
  CHECK(module.path == program.path());
  CHECK(module.build_id == fixture::build_id_of(program.path()));
  CHECK((module.bias == 0) == (kind == "-no-pie"));
  REQUIRE(module.segments.size() == 2);
  CHECK(module.segments[0].start == page_of(module.bias + fixture::address_of(program.path(), "_start")));
  CHECK(module.segments[1].start == module.bias + 0x6000000);
  CHECK(module.segments[1].limit == module.bias + 0x6001000);
}

TEST_CASE("the main executable is known after its file was deleted or replaced") {
  SpawnedProgram program(kSleeper, "-Wl,--build-id=sha1");
  REQUIRE(program.start());
  const std::string build_id = fixture::build_id_of(program.path());
  const Module before = main_executable(program.pid());
  std::filesystem::remove(program.path());
  CHECK(main_executable(program.pid()) == before);
  std::filesystem::copy_file("/bin/true", program.path());
  CHECK(main_executable(program.pid()) == before);
  CHECK(before.build_id == build_id);
}

TEST_CASE("a process that is gone has no executable") {
  CHECK(main_executable(1 << 30) == Module{});
}

}  // namespace
}  // namespace leakwatch
