// SPDX-License-Identifier: Apache-2.0
//
// exec_loop TIMES: becomes itself so many times, 20 ms apart, and ends with status 21.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  const int left = argc > 1 ? std::atoi(argv[1]) : 0;
  if (left == 0) return 21;
  std::free(std::malloc(100));
  usleep(20'000);
  char next[16];
  std::snprintf(next, sizeof next, "%d", left - 1);
  char* arguments[] = {argv[0], next, nullptr};
  execv(argv[0], arguments);
  return 1;
}
