// SPDX-License-Identifier: Apache-2.0
//
// forks HOW: makes twenty children in one way while four threads allocate and free. What children allocate is theirs;
// what the parent allocated is exact. Every child must end well.

#include <spawn.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/targets/truth.h"

namespace {

std::atomic<bool> stop;
std::atomic<long> rounds;
void* inherited;

}  // namespace

SITE void* parent_block() {
  return malloc(100);
}
SITE void* worker_block() {
  return malloc(200);
}
SITE void* child_block() {
  return malloc(300);
}

namespace {

void work() {
  for (; !stop; ++rounds) free(worker_block());
}

// Frees of what the parent allocated included: they are frees in another process.
int live_as_child() {
  free(inherited);
  inherited = nullptr;
  for (int i = 0; i < 1000; ++i) {
    void* block = child_block();
    if (i % 2 == 0) free(block);
  }
  return 0;
}

void wait_for(pid_t child) {
  int status = 1;
  require(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child");
}

pid_t start(std::string_view how) {
  if (how == "fork") {
    const pid_t child = fork();
    if (child == 0) exit(live_as_child());
    return child;
  }
  if (how == "grandchild" || how == "daemon") {
    const pid_t child = fork();
    if (child != 0) return child;
    live_as_child();
    if (how == "daemon") setsid();
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(live_as_child());
    if (how == "grandchild") wait_for(grandchild);
    _exit(0);
  }
  char name[] = "/bin/true";
  char* arguments[] = {name, nullptr};
  if (how == "vfork") {
    const pid_t child = vfork();
    if (child != 0) return child;
    execv(name, arguments);
    _exit(1);
  }
  pid_t child = -1;
  require(how == "spawn" && posix_spawn(&child, name, nullptr, nullptr, arguments, environ) == 0, "posix_spawn");
  return child;
}

}  // namespace

int main(int, char** argv) {
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(work);
  Truth parent;
  inherited = parent_block();
  parent.allocated(100);
  for (int i = 0; i < 20; ++i) {
    wait_for(start(argv[1]));
    require(parent_block() != nullptr, "malloc");
    parent.allocated(100);
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  tell("parent_block", parent);
  tell("worker_block", {rounds, rounds * 200, 0, 0});
  tell("child_block", {});
}
