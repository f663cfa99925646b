// SPDX-License-Identifier: Apache-2.0
//
// attach_forks OBJECT: children of an attached program, whose slots lead to our hooks as their parent's do. What they
// allocate is theirs; they can be detached by themselves, and an attach of their own is turned down like anybody's whom
// leakwatch does not expect.

#include <sys/wait.h>

#include "tests/targets/attach_self.h"

SITE void* parent_block() {
  return malloc(100);
}
SITE void* child_block() {
  return malloc(300);
}

namespace {

using Outcome = AttachSelf::Outcome;
using leakwatch::attach::Phase;

void use_memory() {
  for (int i = 0; i < 1000; ++i) {
    void* block = child_block();
    require(block != nullptr, "malloc");
    std::memset(block, i, 300);
    if (i % 2 == 0) free(block);
  }
}

int live_as_child(const AttachSelf& self, void* inherited, int number) {
  free(inherited);
  use_memory();
  require(self.state().process != static_cast<std::uint32_t>(getpid()), "whose state it is");
  if (number == 0) return 0;
  if (number == 2) require(self.attach() == Outcome::kNoConnection, "a child attaches");
  require(self.detach() == Outcome::kDone && self.state().slots_patched == 0, "a child detaches");
  require(self.state().phase == static_cast<std::uint32_t>(Phase::kDetached), "a child is detached");
  require(self.detach() == Outcome::kDone, "once more");
  if (number == 2) require(self.attach() == Outcome::kNoConnection && self.state().slots_patched == 0, "and again");
  use_memory();
  return 0;
}

}  // namespace

int main(int, char** argv) {
  const AttachSelf self(argv[1]);
  Truth parent;
  self.must_attach();
  void* inherited = parent_block();
  parent.allocated(100);
  for (int i = 0; i < 9; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(live_as_child(self, inherited, i % 3));
    int status = 1;
    require(waitpid(child, &status, 0) == child && status == 0, "a child");
    require(parent_block() != nullptr, "malloc");
    parent.allocated(100);
  }
  self.must_detach();
  tell("parent_block", parent), tell("child_block", {});
}
