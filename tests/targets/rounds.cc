// SPDX-License-Identifier: Apache-2.0
//
// rounds: allocates and frees, in rounds that are all the same, from what libc keeps for each thread. It goes on until
// it is killed, and counts the rounds at the address that it says.

#include <cstdint>

#include "tests/targets/truth.h"

namespace {

volatile std::uint64_t rounds = 0;
void* volatile place;

// Or the compiler would leave out what nobody looks at.
void* look_at(void* block) {
  place = block;
  return block;
}

}  // namespace

int main() {
  say("rounds at %#lx", reinterpret_cast<unsigned long>(&rounds));
  while (true) {
    free(look_at(malloc(16)));
    operator delete(look_at(operator new(1)));
    free(look_at(strdup("text")));
    rounds = rounds + 1;
  }
}
