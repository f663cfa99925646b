// SPDX-License-Identifier: Apache-2.0
//
// What a target knows about itself. A site is a function that is never inlined and keeps its frame, so that its name
// stands in every stack of what it allocates; at the end (or at a quiet moment) the target tells how much that was, and
// the test compares with ==. Telling does not allocate: it must not change what it tells.
#pragma once

#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define SITE extern "C" __attribute__((noinline, noclone))

struct Truth {
  long alloc_objects = 0;
  long alloc_space = 0;
  long inuse_objects = 0;
  long inuse_space = 0;

  void allocated(long bytes) {
    ++alloc_objects, ++inuse_objects;
    alloc_space += bytes, inuse_space += bytes;
  }
  void freed(long bytes) { --inuse_objects, inuse_space -= bytes; }
};

[[gnu::format(printf, 1, 2)]] inline void say(const char* format, ...) {
  char line[512];
  std::va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  line[length] = '\n';
  if (write(STDOUT_FILENO, line, static_cast<std::size_t>(length) + 1) < 0) _exit(98);
}

// The line that lib.sh's expect_truth looks for.
inline void tell(const char* function, const Truth& truth) {
  say("truth %s %ld %ld %ld %ld", function, truth.alloc_objects, truth.alloc_space, truth.inuse_objects,
      truth.inuse_space);
}

// The target's own view is wrong: no comparison makes sense any more.
inline void require(bool good, const char* what) {
  if (good) return;
  say("TARGET FAILED: %s", what);
  _exit(99);
}
