// SPDX-License-Identifier: Apache-2.0
//
// errno is the program's: neither an allocation nor a free may change it, also when our rings are full and we wait.

#include <cerrno>

#include "tests/targets/truth.h"

SITE void* quiet_block() {
  return malloc(70);
}

int main() {
  Truth truth;
  errno = 4321;
  for (int i = 0; i < 300'000; ++i) {
    void* block = quiet_block();
    require(errno == 4321, "errno after malloc");
    truth.allocated(70);
    free(block);
    require(errno == 4321, "errno after free");
    truth.freed(70);
  }
  tell("quiet_block", truth);
}
