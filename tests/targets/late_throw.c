// SPDX-License-Identifier: Apache-2.0
//
// A C program that knows nothing of C++, nor of libgcc, until it loads a library that throws.
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  void* library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW);
  if (library == NULL) return puts(dlerror()), 1;
  int (*caught)(int);
  *(void**)&caught = dlsym(library, "throw_and_catch");
  int sum = 0;
  for (int i = 0; i < 1000; i++) sum += caught(i);
  printf("%d\n", sum);
  return sum == 1000 ? 0 : 2;
}
