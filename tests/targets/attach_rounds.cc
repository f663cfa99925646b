// SPDX-License-Identifier: Apache-2.0
//
// attach_rounds OBJECT ROUNDS [preloaded]: attaches to itself and detaches, again and again, and tells what it did in
// each round: only that is in the round's profile. Blocks of earlier times are freed in later ones, and blocks pass
// between the program and libc, which works on them by itself. `preloaded`: the object is there from the start, and
// asleep.

#include <cstdio>
#include <vector>

#include "tests/targets/attach_self.h"

namespace {

using leakwatch::attach::Phase;

std::vector<void*> old_blocks;

Phase phase_of(const AttachSelf& self) {
  return static_cast<Phase>(self.state().phase.load());
}

}  // namespace

SITE void* round_block() {
  return malloc(100);
}
SITE char* line_block() {
  return static_cast<char*>(malloc(16));
}
SITE char* copied_block() {
  return strdup("fifteen letters");
}
SITE void* moved_block(void* block) {
  return realloc(block, 300);
}
SITE void* never_seen_block() {
  return malloc(700);
}

namespace {

// libc enlarges the program's block, and the program frees libc's.
void pass_blocks_around(Truth& lines, Truth& copies) {
  char letters[200];
  std::memset(letters, 'x', sizeof letters - 1);
  letters[sizeof letters - 1] = '\n';
  std::FILE* file = fmemopen(letters, sizeof letters, "r");
  char* line = line_block();
  std::size_t room = 16;
  require(getline(&line, &room, file) == sizeof letters, "getline");
  lines.allocated(16), lines.freed(16);
  free(line);
  std::fclose(file);
  free(copied_block());
  require(copied_block() != nullptr, "strdup");
  copies.allocated(16), copies.allocated(16), copies.freed(16);
}

void one_round(int number) {
  Truth rounds, lines, copies, moved;
  for (int i = 0; i < number % 7 + 3; ++i) {
    old_blocks.push_back(round_block());
    rounds.allocated(100);
  }
  free(old_blocks.back());
  old_blocks.pop_back();
  rounds.freed(100);
  // Older than this round, from the second on.
  if (number > 0) {
    free(old_blocks.front());
    old_blocks.erase(old_blocks.begin());
    old_blocks.push_back(moved_block(old_blocks.front()));
    old_blocks.erase(old_blocks.begin());
    moved.allocated(300);
  }
  pass_blocks_around(lines, copies);
  tell("round_block", rounds), tell("line_block", lines), tell("copied_block", copies), tell("moved_block", moved);
  tell("never_seen_block", {});
}

}  // namespace

int main(int argc, char** argv) {
  const bool preloaded = argc > 3;
  const AttachSelf self(argv[1]);
  old_blocks.reserve(10'000);
  require(phase_of(self) == Phase::kAsleep && (self.state().is_preloaded == 1) == preloaded, "asleep at first");
  require(self.look_again() == AttachSelf::Outcome::kNotAttached, "nothing to look at again");
  require(self.detach() == AttachSelf::Outcome::kNotAttached, "nothing to detach");
  require(self.attach("/nowhere/socket") == AttachSelf::Outcome::kNoConnection, "nobody answers");
  require(phase_of(self) == Phase::kFailed && self.state().slots_patched == 0, "nothing changed");
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    free(never_seen_block());
    say("round %d", i + 1);
    self.must_attach();
    require(phase_of(self) == Phase::kAttached && self.state().session != 0, "attached");
    require(self.attach() == AttachSelf::Outcome::kAlreadyWatched && phase_of(self) == Phase::kAttached, "twice");
    require(self.state().slots_patched > 3 || preloaded, "slots");
    require(self.state().slots_refused == 0 && self.state().modules_unready == 0, "slots that could not be changed");
    one_round(i);
    self.must_detach();
    require(phase_of(self) == Phase::kDetached && self.state().session == 0, "detached");
    require(self.state().slots_patched == 0, "slots after detaching");
    require(static_cast<int>(self.state().attaches) == i + 1, "attaches");
  }
}
