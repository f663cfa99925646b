// SPDX-License-Identifier: Apache-2.0

#include "symbolize/kernel_file.h"

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("a file of the kernel is read to its end", "[kernel-file]") {
  const std::string maps = read_kernel_file("/proc/self/maps");  // longer than what is read at once, or nearly
  CHECK(maps.find("[stack]") != std::string::npos);
  CHECK(maps.ends_with('\n'));
}

// As are those of a process that has just ended. Nothing is mapped at the address 0, which is where this one begins.
TEST_CASE("a file of the kernel that can be opened and not be read is empty", "[kernel-file]") {
  CHECK(read_kernel_file("/proc/self/mem").empty());
  CHECK(read_kernel_file("/proc/self/no-such-file").empty());
}

}  // namespace
}  // namespace leakwatch
