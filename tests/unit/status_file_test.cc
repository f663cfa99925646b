// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/status of those that have no memory: kernel threads, which are there, and what has ended.
#include "cli/process/status_file.h"

#include <unistd.h>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("a kernel thread has no memory and has not ended") {
  const StatusFile file("Name:\tkthreadd\nState:\tS (sleeping)\nSigIgn:\tffffffffffffffff\n");
  CHECK(file.is_kernel_thread());
  CHECK_FALSE(file.has_ended());
}

TEST_CASE("a process that ignores all it can and gives up its memory has ended") {
  const StatusFile file("Name:\tdaemon\nState:\tR (running)\nSigIgn:\tfffffffffffbfeff\n");
  CHECK_FALSE(file.is_kernel_thread());
  CHECK(file.has_ended());
}

TEST_CASE("a process is there, a zombie and nobody are not") {
  CHECK_FALSE(StatusFile::of_process(getpid()).has_ended());
  CHECK_FALSE(StatusFile::of_process(getpid()).is_kernel_thread());
  CHECK(StatusFile("State:\tZ (zombie)\nSigIgn:\t0\n").has_ended());
  CHECK(StatusFile("").has_ended());
  CHECK_FALSE(StatusFile("").is_kernel_thread());
}

}  // namespace
}  // namespace leakwatch
