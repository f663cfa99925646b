// SPDX-License-Identifier: Apache-2.0
//
// A library to be preloaded that stands in front of the allocator and does nothing but go on to the next function. What
// a load takes longer with it, nobody who stands there can take less.

#include <dlfcn.h>

#include <cstddef>

// The pointer leads to the search at first, and to the next function from then on.
#define FORWARD(result, name, parameters, arguments)                                \
  extern "C" result name parameters;                                                \
  namespace {                                                                       \
  result find_##name parameters;                                                    \
  result(*next_##name) parameters = find_##name;                                    \
  result find_##name parameters {                                                   \
    next_##name = reinterpret_cast<decltype(next_##name)>(dlsym(RTLD_NEXT, #name)); \
    return next_##name arguments;                                                   \
  }                                                                                 \
  }                                                                                 \
  extern "C" result name parameters {                                               \
    return next_##name arguments;                                                   \
  }

FORWARD(void*, malloc, (std::size_t size), (size))
FORWARD(void*, calloc, (std::size_t count, std::size_t size), (count, size))
FORWARD(void*, realloc, (void* block, std::size_t size), (block, size))
FORWARD(void, free, (void* block), (block))
FORWARD(std::size_t, malloc_usable_size, (void* block), (block))
