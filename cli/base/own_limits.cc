// SPDX-License-Identifier: Apache-2.0
//
// See the header. Each module whose symbols are read keeps some files open.

#include "cli/base/own_limits.h"

#include <pthread.h>

#include <cstddef>

namespace leakwatch {

namespace {

constexpr std::size_t kStackSize = std::size_t{8} << 20U;

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
  getrlimit(RLIMIT_NOFILE, &descriptors_);
  const rlimit raised{descriptors_.rlim_max, descriptors_.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
}

}  // namespace leakwatch
