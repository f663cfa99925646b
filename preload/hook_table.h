// SPDX-License-Identifier: Apache-2.0
//
// Every function that we stand in front of, once. The exports of the object, the table of next functions, the patching
// of a process that already runs and the test that calls each one are all made from these lists.
//
//   X(name, return type, parameters)
#pragma once

#include <pthread.h>

#include <cstddef>
#include <ctime>

// Functions that every program may call. Some are missing in some C libraries: next.cc says what happens then.
#define LEAKWATCH_MALLOC_HOOKS(X)                                \
  X(malloc, void*, (std::size_t))                                \
  X(calloc, void*, (std::size_t, std::size_t))                   \
  X(realloc, void*, (void*, std::size_t))                        \
  X(reallocarray, void*, (void*, std::size_t, std::size_t))      \
  X(free, void, (void*))                                         \
  X(cfree, void, (void*))                                        \
  X(free_sized, void, (void*, std::size_t))                      \
  X(free_aligned_sized, void, (void*, std::size_t, std::size_t)) \
  X(posix_memalign, int, (void**, std::size_t, std::size_t))     \
  X(aligned_alloc, void*, (std::size_t, std::size_t))            \
  X(memalign, void*, (std::size_t, std::size_t))                 \
  X(valloc, void*, (std::size_t))                                \
  X(pvalloc, void*, (std::size_t))                               \
  X(malloc_usable_size, std::size_t, (void*))                    \
  X(dlclose, int, (void*))

// Who makes threads, and who lets go of them. glibc's versions of each are one function.
#define LEAKWATCH_THREAD_HOOKS(X)                                                      \
  X(pthread_create, int, (pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)) \
  X(pthread_join, int, (pthread_t, void**))                                            \
  X(pthread_tryjoin_np, int, (pthread_t, void**))                                      \
  X(pthread_timedjoin_np, int, (pthread_t, void**, const timespec*))                   \
  X(pthread_clockjoin_np, int, (pthread_t, void**, clockid_t, const timespec*))        \
  X(pthread_detach, int, (pthread_t))                                                  \
  X(thrd_create, int, (pthread_t*, int (*)(void*), void*))                             \
  X(thrd_join, int, (pthread_t, int*))                                                 \
  X(thrd_detach, int, (pthread_t))

// A process that becomes another program stays watched. glibc's do not reach each other by these names.
#define LEAKWATCH_EXEC_HOOKS(X)                              \
  X(execve, int, (const char*, char* const*, char* const*))  \
  X(execv, int, (const char*, char* const*))                 \
  X(execvp, int, (const char*, char* const*))                \
  X(execvpe, int, (const char*, char* const*, char* const*)) \
  X(fexecve, int, (int, char* const*, char* const*))         \
  X(execl, int, (const char*, const char*, ...))             \
  X(execlp, int, (const char*, const char*, ...))            \
  X(execle, int, (const char*, const char*, ...))

// The C++ operators, by mangled name. libstdc++'s reach malloc and need no hook; those of an allocator library
// (tcmalloc, jemalloc) do not. Only the variant of the object that is made for such programs exports them.
#define LEAKWATCH_OPERATOR_HOOKS(X)                                                     \
  X(_Znwm, void*, (std::size_t))                                                        \
  X(_Znam, void*, (std::size_t))                                                        \
  X(_ZnwmRKSt9nothrow_t, void*, (std::size_t, const void*))                             \
  X(_ZnamRKSt9nothrow_t, void*, (std::size_t, const void*))                             \
  X(_ZnwmSt11align_val_t, void*, (std::size_t, std::size_t))                            \
  X(_ZnamSt11align_val_t, void*, (std::size_t, std::size_t))                            \
  X(_ZnwmSt11align_val_tRKSt9nothrow_t, void*, (std::size_t, std::size_t, const void*)) \
  X(_ZnamSt11align_val_tRKSt9nothrow_t, void*, (std::size_t, std::size_t, const void*)) \
  X(_ZdlPv, void, (void*))                                                              \
  X(_ZdaPv, void, (void*))                                                              \
  X(_ZdlPvm, void, (void*, std::size_t))                                                \
  X(_ZdaPvm, void, (void*, std::size_t))                                                \
  X(_ZdlPvRKSt9nothrow_t, void, (void*, const void*))                                   \
  X(_ZdaPvRKSt9nothrow_t, void, (void*, const void*))                                   \
  X(_ZdlPvSt11align_val_t, void, (void*, std::size_t))                                  \
  X(_ZdaPvSt11align_val_t, void, (void*, std::size_t))                                  \
  X(_ZdlPvmSt11align_val_t, void, (void*, std::size_t, std::size_t))                    \
  X(_ZdaPvmSt11align_val_t, void, (void*, std::size_t, std::size_t))                    \
  X(_ZdlPvSt11align_val_tRKSt9nothrow_t, void, (void*, std::size_t, const void*))       \
  X(_ZdaPvSt11align_val_tRKSt9nothrow_t, void, (void*, std::size_t, const void*))

#define LEAKWATCH_ALL_HOOKS(X) \
  LEAKWATCH_MALLOC_HOOKS(X) LEAKWATCH_THREAD_HOOKS(X) LEAKWATCH_EXEC_HOOKS(X) LEAKWATCH_OPERATOR_HOOKS(X)
