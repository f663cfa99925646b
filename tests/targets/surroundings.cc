// SPDX-License-Identifier: Apache-2.0
//
// surroundings [COMMAND...]: tells what a program can see of us: its environment and its open descriptors. Then it
// allocates, tells, and executes COMMAND in its place, if there is one.

#include <fcntl.h>

#include <initializer_list>

#include "tests/targets/truth.h"

SITE void* block_before_exec() {
  return malloc(123);
}

int main(int argc, char** argv) {
  for (const char* name : {"LD_PRELOAD", "LEAKWATCH_SOCKET"}) {
    const char* value = std::getenv(name);
    say("getenv %s %s", name, value == nullptr ? "(none)" : value);
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strstr(*variable, "leakwatch") != nullptr) say("environ %s", *variable);
  }
  for (int fd = 0; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) say("descriptor %d", fd);
  }
  require(block_before_exec() != nullptr, "malloc");
  tell("block_before_exec", {1, 123, 1, 123});
  if (argc < 2) return 0;
  execvp(argv[1], argv + 1);
  return 127;
}
