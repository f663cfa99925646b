// SPDX-License-Identifier: Apache-2.0
//
// See the header. Each module whose symbols are read keeps some files open.

#include "cli/base/own_limits.h"

#include <pthread.h>

#include <cstddef>

namespace leakwatch {

namespace {

// Enough for names that are nested as deeply as the demangler goes, and little of a limit on the address space.
constexpr std::size_t kStackSize = std::size_t{2} << 20U;

void enlarge_stacks_of_threads() {
  pthread_attr_t attributes;
  std::size_t size = 0;
  if (pthread_getattr_default_np(&attributes) != 0) return;
  if (pthread_attr_getstacksize(&attributes, &size) == 0 && size < kStackSize &&
      pthread_attr_setstacksize(&attributes, kStackSize) == 0)
    pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

}  // namespace

OwnLimits::OwnLimits() {
  enlarge_stacks_of_threads();
  rlimit before;
  if (getrlimit(RLIMIT_NOFILE, &before) != 0) return;
  const rlimit raised{before.rlim_max, before.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) descriptors_before_ = before;
}

}  // namespace leakwatch
