// SPDX-License-Identifier: Apache-2.0
//
// exec_kinds KIND PROGRAM ARGUMENT [MILLISECONDS]: becomes the program, after a time, which exists if it has a slash in
// front; if not, it tells what it allocated, before and after. KIND is the function that it calls, or `raw`, a system
// call that nobody sees.

#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

#include "tests/targets/truth.h"

SITE void* before_exec() {
  return malloc(100);
}
SITE void* after_exec() {
  return malloc(200);
}

namespace {

void execute(std::string_view kind, char* program, char* argument) {
  char* arguments[] = {program, argument, nullptr};
  if (kind == "execl") execl(program, program, argument, nullptr);
  if (kind == "execlp") execlp(program, program, argument, nullptr);
  if (kind == "execle") execle(program, program, argument, nullptr, environ);
  if (kind == "execve") execve(program, arguments, environ);
  if (kind == "raw") syscall(SYS_execve, program, arguments, environ);
}

}  // namespace

int main(int argc, char** argv) {
  require(argc > 3, "usage: exec_kinds KIND PROGRAM ARGUMENT [MILLISECONDS]");
  require(before_exec() != nullptr, "malloc");
  if (argc > 4) usleep(static_cast<useconds_t>(std::atoi(argv[4])) * 1000);
  execute(argv[1], argv[2], argv[3]);
  require(argv[2][0] != '/', "exec");
  require(after_exec() != nullptr, "malloc");
  tell("before_exec", {1, 100, 1, 100}), tell("after_exec", {1, 200, 1, 200});
}
