// SPDX-License-Identifier: Apache-2.0
//
// Everything that realloc can do, and the sizes at the edge: a block that is resized is a free of the old size and an
// allocation of the new one, in place or not; one whose realloc fails is what it was.

#include <malloc.h>

#include <cerrno>
#include <cstdint>

#include "tests/targets/join_point.h"
#include "tests/targets/truth.h"

namespace {
volatile std::size_t too_much = PTRDIFF_MAX;  // the compiler must not know
}

SITE void* first_block(std::size_t size) {
  return malloc(size);
}
SITE void* grown(void* block, std::size_t size) {
  return realloc(block, size);
}
SITE void* shrunk(void* block, std::size_t size) {
  return realloc(block, size);
}
SITE void* grown_array(void* block, std::size_t count) {
  return reallocarray(block, count, 8);
}
SITE void* from_null(std::size_t size) {
  return realloc(nullptr, size);
}
SITE void* to_zero(void* block) {
  return realloc(block, 0);
}
SITE void* survivor(std::size_t size) {
  return malloc(size);
}
SITE void* refused(void* block) {
  return realloc(block, too_much);
}
SITE void* refused_array(void* block) {
  return reallocarray(block, too_much, 16);
}
SITE void* refused_malloc() {
  return malloc(too_much);
}
SITE void* refused_calloc() {
  return calloc(too_much, 16);
}
SITE void* of_no_bytes() {
  return malloc(0);
}
SITE void* mapped_block(void* block, std::size_t size) {
  return realloc(block, size);
}

int main() {
  wait_to_be_joined();
  Truth first, grow, shrink, array, null, zero, alive, empty, mapped;
  for (long i = 0; i < 1000; ++i) {
    const long size = 24 + i * 7;
    void* block = first_block(static_cast<std::size_t>(size));
    first.allocated(size), first.freed(size);
    block = grown(block, static_cast<std::size_t>(size * 3));
    grow.allocated(size * 3), grow.freed(size * 3);
    block = shrunk(block, 9);
    shrink.allocated(9), shrink.freed(9);
    block = grown_array(block, 5);  // in place: 9 bytes were a chunk of 24 or more; or moved, as the allocator likes
    array.allocated(40);
    if (i % 2 == 0) continue;
    void* left = to_zero(block);
    array.freed(40);
    if (left != nullptr) zero.allocated(0);  // some allocators hand out an empty block instead
  }
  for (long i = 0; i < 100; ++i) {
    require(from_null(33) != nullptr, "realloc(NULL)");
    null.allocated(33);
    auto* block = static_cast<unsigned char*>(survivor(500));
    alive.allocated(500);
    std::memset(block, static_cast<int>(i), 500);
    require(refused(block) == nullptr, "realloc of too much");
    errno = 0;
    require(refused_array(block) == nullptr && errno == ENOMEM, "reallocarray of too much");
    require(block[0] == i && block[499] == i, "the block after a failed realloc");
    if (i % 4 != 0) continue;
    free(block);
    alive.freed(500);
  }
  errno = 0;
  require(refused_malloc() == nullptr && refused_calloc() == nullptr && errno == ENOMEM, "too much");
  for (int i = 0; i < 5; ++i) {
    void* block = of_no_bytes();
    empty.allocated(0);
    if (i >= 3) continue;
    free(block);
    empty.freed(0);
  }
  void* large = nullptr;
  for (long size = 1 << 20; size <= 64 << 20; size *= 2) {
    if (large != nullptr) mapped.freed(size / 2);
    large = mapped_block(large, static_cast<std::size_t>(size));
    mapped.allocated(size);
  }
  tell("first_block", first), tell("grown", grow), tell("shrunk", shrink), tell("grown_array", array);
  tell("from_null", null), tell("to_zero", zero), tell("survivor", alive), tell("of_no_bytes", empty);
  tell("mapped_block", mapped);
  tell("refused", {}), tell("refused_array", {}), tell("refused_malloc", {}), tell("refused_calloc", {});
}
