// SPDX-License-Identifier: Apache-2.0
//
// Every replaceable operator new and delete. Seen through malloc where the C++ library's are used, and by the variant
// of our object with operators of its own where an allocator library has its own.

#include <cstdint>
#include <new>

#include "tests/targets/join_point.h"
#include "tests/targets/truth.h"

namespace {
constexpr std::align_val_t kAlign{64};
}

SITE void* plain_new() {
  return ::operator new(256);
}
SITE void* array_new() {
  return ::operator new[](256);
}
SITE void* nothrow_new() {
  return ::operator new(256, std::nothrow);
}
SITE void* nothrow_array_new() {
  return ::operator new[](256, std::nothrow);
}
SITE void* aligned_new() {
  return ::operator new(256, kAlign);
}
SITE void* aligned_array_new() {
  return ::operator new[](256, kAlign);
}
SITE void* aligned_nothrow_new() {
  return ::operator new(256, kAlign, std::nothrow);
}
SITE void* aligned_nothrow_array_new() {
  return ::operator new[](256, kAlign, std::nothrow);
}
SITE void* c_block() {
  return malloc(256);
}

namespace {

template <class Allocate, class... Free>
void exercise(const char* name, Allocate allocate, Free... frees) {
  Truth truth;
  require(allocate() != nullptr, name);
  truth.allocated(256);
  ((frees(allocate()), truth.allocated(256), truth.freed(256)), ...);
  tell(name, truth);
}

}  // namespace

int main() {
  wait_to_be_joined();
  exercise(
      "plain_new", plain_new, [](void* p) { ::operator delete(p); }, [](void* p) { ::operator delete(p, 256); },
      [](void* p) { ::operator delete(p, std::nothrow); });
  exercise(
      "array_new", array_new, [](void* p) { ::operator delete[](p); }, [](void* p) { ::operator delete[](p, 256); },
      [](void* p) { ::operator delete[](p, std::nothrow); });
  exercise("nothrow_new", nothrow_new, [](void* p) { ::operator delete(p); });
  exercise("nothrow_array_new", nothrow_array_new, [](void* p) { ::operator delete[](p); });
  exercise(
      "aligned_new", aligned_new, [](void* p) { ::operator delete(p, kAlign); },
      [](void* p) { ::operator delete(p, 256, kAlign); }, [](void* p) { ::operator delete(p, kAlign, std::nothrow); });
  exercise(
      "aligned_array_new", aligned_array_new, [](void* p) { ::operator delete[](p, kAlign); },
      [](void* p) { ::operator delete[](p, 256, kAlign); },
      [](void* p) { ::operator delete[](p, kAlign, std::nothrow); });
  exercise("aligned_nothrow_new", aligned_nothrow_new, [](void* p) { ::operator delete(p, kAlign); });
  exercise("aligned_nothrow_array_new", aligned_nothrow_array_new, [](void* p) { ::operator delete[](p, kAlign); });
  exercise("c_block", c_block, [](void* p) { free(p); });
  bool threw = false;
  volatile std::size_t too_much = PTRDIFF_MAX;
  try {
    ::operator delete(::operator new(too_much));
  } catch (const std::bad_alloc&) {
    threw = true;
  }
  require(threw && ::operator new(too_much, std::nothrow) == nullptr, "operator new of too much");
}
