// SPDX-License-Identifier: Apache-2.0
#include "cli/process/stat_file.h"

#include <unistd.h>

#include "tests/unit/catch.h"
#include "tests/unit/spawned_program.h"

namespace leakwatch {
namespace {

constexpr const char* kBecomesItself =
    "#include <unistd.h>\n"
    "int main(int count, char** arguments) { usleep(1000); execv(arguments[0], arguments); return 1; }\n";

TEST_CASE("a process has a layout also in the middle of executing a program") {
  SpawnedProgram program(kBecomesItself);
  REQUIRE(program.start());
  int without = 0;
  for (int look = 0; look < 20'000; ++look) without += memory_layout(program.pid()).empty();
  CHECK(without == 0);
}

TEST_CASE("a layout stays as it is until a program is executed") {
  SpawnedProgram program(kSleeper);
  REQUIRE(program.start());
  const std::string layout = memory_layout(program.pid());
  CHECK_FALSE(layout.empty());
  CHECK_FALSE(has_executed_since(program.pid(), layout));
  CHECK(has_executed_since(program.pid(), memory_layout(getpid())));
}

TEST_CASE("a process that has ended has no layout") {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  siginfo_t ended;
  REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) == 0);
  CHECK(memory_layout(pid).empty());
  CHECK_FALSE(has_executed_since(pid, memory_layout(getpid())));
  waitpid(pid, nullptr, 0);
}

}  // namespace
}  // namespace leakwatch
