// SPDX-License-Identifier: Apache-2.0
//
// attach_exec OBJECT [after]: attached, it becomes itself again, which is then watched from its start; a child that
// becomes another program is not. With `after` it is that second program.

#include <sys/wait.h>

#include <cstring>

#include "tests/targets/attach_self.h"

SITE void* before_block() {
  return malloc(100);
}
SITE void* after_block() {
  return malloc(200);
}

int main(int argc, char** argv) {
  if (argc > 2) {
    require(after_block() != nullptr, "malloc");
    tell("before_block", {}), tell("after_block", {1, 200, 1, 200});
    return 0;
  }
  const AttachSelf self(argv[1]);
  self.must_attach();
  require(before_block() != nullptr, "malloc");
  const pid_t child = fork();
  char name[] = "/bin/sh", option[] = "-c", script[] = "test -z \"$LD_PRELOAD$LEAKWATCH_SOCKET\"";
  char* shell[] = {name, option, script, nullptr};
  if (child == 0) execv(name, shell), _exit(9);
  int status = 1;
  require(waitpid(child, &status, 0) == child && status == 0, "a child's environment");
  char after[] = "after";
  char* arguments[] = {argv[0], argv[1], after, nullptr};
  execv(argv[0], arguments);
  require(false, "execv");
}
