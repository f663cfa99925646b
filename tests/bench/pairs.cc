// SPDX-License-Identifier: Apache-2.0
//
// pairs COUNT: allocates and frees a small block COUNT times, for counting instructions. The first pairs, before which
// nothing is settled, are part of every run, so that the difference between two counts is that of the settled ones.

#include <cstdint>
#include <cstdlib>

namespace {
volatile std::uintptr_t consumed;
}

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::atol(argv[1]) : 1000;
  for (long i = 0; i < count; ++i) {
    void* block = std::malloc(16);
    consumed = reinterpret_cast<std::uintptr_t>(block);
    std::free(block);
  }
}
