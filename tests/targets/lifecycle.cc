// SPDX-License-Identifier: Apache-2.0
//
// Allocations where nobody expects them: before main (preinit_array, a library's constructor, a static object), in
// ending threads (thread-specific data, thread_local objects) and after main (atexit, a library's destructor). Each
// keeps two blocks of three. With an argument it tells of preinit_array, else of all others.

#include <pthread.h>

#include <thread>

#include "tests/targets/truth.h"

extern "C" void library_is_needed();

namespace {

const Truth kTwoOfThree{3, 300, 2, 200};

template <class Allocate>
void use(Allocate allocate) {
  free(allocate());
  require(allocate() != nullptr && allocate() != nullptr, "malloc");
}

}  // namespace

SITE void* preinit_block() {
  return malloc(100);
}
SITE void* static_block() {
  return malloc(100);
}
SITE void* thread_data_block() {
  return malloc(100);
}
SITE void* thread_local_block() {
  return malloc(100);
}
SITE void* atexit_block() {
  return malloc(100);
}

static void before_everything() {
  use(preinit_block);
}
[[gnu::section(".preinit_array"), gnu::used]] static void (*const preinit)() = before_everything;

struct Static {
  Static() { use(static_block); }
} static_object;

struct ThreadLocal {
  int touched = 0;
  ~ThreadLocal() { use(thread_local_block); }
};
static thread_local ThreadLocal thread_local_object;

int main(int argc, char**) {
  library_is_needed();
  std::atexit([] { use(atexit_block); });
  std::thread([] {
    pthread_key_t key;
    pthread_key_create(&key, [](void* block) {
      free(block);
      use(thread_data_block);
    });
    pthread_setspecific(key, malloc(1));
    thread_local_object.touched = 1;
  }).join();
  if (argc > 1) return tell("preinit_block", kTwoOfThree), 0;
  for (const char* site : {"static_block", "thread_data_block", "thread_local_block", "atexit_block",
                           "library_constructor_block", "library_destructor_block"})
    tell(site, kTwoOfThree);
}
