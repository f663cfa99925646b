// SPDX-License-Identifier: Apache-2.0
//
// The library of lifecycle.cc: its constructor runs before ours, its destructor after main.

#include "tests/targets/truth.h"

SITE void* library_constructor_block() {
  return malloc(100);
}
SITE void* library_destructor_block() {
  return malloc(100);
}

[[gnu::constructor]] static void begin() {
  free(library_constructor_block());
  require(library_constructor_block() != nullptr && library_constructor_block() != nullptr, "malloc");
}

[[gnu::destructor]] static void end() {
  free(library_destructor_block());
  require(library_destructor_block() != nullptr && library_destructor_block() != nullptr, "malloc");
}

extern "C" void library_is_needed() {}
