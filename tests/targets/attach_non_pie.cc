// SPDX-License-Identifier: Apache-2.0
//
// attach_non_pie OBJECT LIBRARY: an executable that is not position-independent and takes malloc's address: the address
// of malloc is then, for the whole process, that of an entry of the executable's own PLT (psABI 3.5.5). Calls arrive
// from it by way of the PLT and of pointers, and from a library.

#include "tests/targets/attach_self.h"

namespace {
void* (*volatile allocate_by_pointer)(std::size_t);
void (*volatile free_by_pointer)(void*);
}  // namespace

SITE void* direct_block() {
  return malloc(100);
}
SITE void* pointer_block() {
  return allocate_by_pointer(200);
}

int main(int, char** argv) {
  allocate_by_pointer = malloc;  // in code: the linker has to know the address, and makes it one of its own
  free_by_pointer = free;
  void* library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
  require(library != nullptr, "dlopen");
  auto* allocate = reinterpret_cast<void* (*)()>(dlsym(library, "allocate"));
  void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  require(dlsym(RTLD_DEFAULT, "malloc") != dlsym(libc, "malloc"), "malloc's address is that of a PLT entry");
  const AttachSelf self(argv[1]);
  for (int round = 1; round <= 2; ++round) {
    say("round %d", round);
    Truth direct, pointer, twin;
    self.must_attach();
    for (int i = 0; i < 3; ++i) {
      free_by_pointer(direct_block());
      direct.allocated(100), direct.freed(100);
      free(pointer_block());
      pointer.allocated(200), pointer.freed(200);
      require(direct_block() != nullptr && pointer_block() != nullptr && allocate() != nullptr, "malloc");
      direct.allocated(100), pointer.allocated(200), twin.allocated(300);
    }
    self.must_detach();
    free_by_pointer(direct_block());
    free(pointer_block());
    free(allocate());
    tell("direct_block", direct), tell("pointer_block", pointer), tell("twin_first", twin);
  }
}
