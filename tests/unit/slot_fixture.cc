// SPDX-License-Identifier: Apache-2.0
//
// A library that calls the allocator in every way that makes a slot: through the PLT, through pointers in constant and
// in variable data. Built and linked in several ways (meson.build).

#include "tests/unit/slot_fixture.h"

#include <cstdlib>

extern "C" {

__attribute__((noinline)) void* fixture_allocate(std::size_t size) {
  return std::malloc(size);
}
__attribute__((noinline)) void fixture_release(void* block) {
  std::free(block);
}
const FixtureFunctions fixture_constant = {std::malloc, std::free};
FixtureFunctions fixture_variable = {std::malloc, std::free};
// So that there are packed relative relocations where the linker makes them.
const void* fixture_pointers[] = {&fixture_constant, &fixture_variable, fixture_pointers};
}
