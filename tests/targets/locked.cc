// SPDX-License-Identifier: Apache-2.0
//
// Locks its memory, as programs with deadlines do, and tells how much of it is resident: address space that we reserve
// must not become memory.

#include <sys/mman.h>

#include "tests/targets/truth.h"

SITE void* locked_block() {
  return malloc(100);
}

int main() {
  require(locked_block() != nullptr, "malloc");
  require(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");
  require(locked_block() != nullptr, "malloc");
  tell("locked_block", {2, 200, 2, 200});
  long pages = 0, resident = 0;
  std::FILE* statm = std::fopen("/proc/self/statm", "r");
  require(statm != nullptr && std::fscanf(statm, "%ld %ld", &pages, &resident) == 2, "/proc/self/statm");
  say("resident %ld", resident * 4);
}
