// SPDX-License-Identifier: Apache-2.0
//
// reload FIRST SECOND ROUNDS: loads and unloads two libraries in turn, which come to lie at the same address. Half of
// the blocks stay alive after their library is gone. With a fourth argument a second thread allocates meanwhile.

#include <dlfcn.h>

#include <atomic>
#include <thread>

#include "tests/targets/truth.h"

namespace {

std::atomic<bool> stop;
std::atomic<long> beside;

}  // namespace

SITE void* beside_block() {
  return malloc(400);
}

namespace {

void* use(const char* path, Truth& truth, bool keep) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  require(library != nullptr, "dlopen");
  auto* allocate = reinterpret_cast<void* (*)()>(dlsym(library, "allocate"));
  void* block = allocate();
  truth.allocated(300);
  if (!keep) {
    free(block);
    truth.freed(300);
  }
  require(dlclose(library) == 0, "dlclose");
  return reinterpret_cast<void*>(allocate);
}

}  // namespace

int main(int argc, char** argv) {
  std::thread other([argc] {
    while (argc > 4 && !stop) {
      free(beside_block());
      ++beside;
    }
  });
  Truth first, second;
  long reused = 0;
  for (long i = 0; i < std::strtol(argv[3], nullptr, 10); ++i) {
    void* const here = use(argv[1], first, i % 2 == 0);
    reused += use(argv[2], second, i % 2 == 0) == here;
  }
  stop = true;
  other.join();
  tell("twin_first", first), tell("twin_second", second);
  tell("beside_block", {beside, beside * 400, 0, 0});
  say("reused %ld", reused);
}
