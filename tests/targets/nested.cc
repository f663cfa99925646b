// SPDX-License-Identifier: Apache-2.0
//
// Linked with an allocator whose calloc and realloc call the exported malloc and free: each is one allocation all the
// same.

#include "tests/targets/truth.h"

SITE void* cleared_block() {
  return calloc(1, 300);
}
SITE void* first_block() {
  return malloc(100);
}
SITE void* moved_block(void* block) {
  return realloc(block, 400);
}

int main() {
  Truth cleared, first, moved;
  for (int i = 0; i < 1000; ++i) {
    void* clear = cleared_block();
    cleared.allocated(300);
    void* block = moved_block(first_block());
    first.allocated(100), first.freed(100), moved.allocated(400);
    require(clear != nullptr && block != nullptr, "malloc");
    if (i % 10 == 0) continue;
    free(clear), free(block);
    cleared.freed(300), moved.freed(400);
  }
  tell("cleared_block", cleared), tell("first_block", first), tell("moved_block", moved);
}
