// SPDX-License-Identifier: Apache-2.0
//
// What the checking build of the preload object (meson.build) counts: walks, those that were remembered, and those
// where the two differ. When the program ends, one line goes to the end of the file that LEAKWATCH_WALK_COUNTS names:
//   walks N found N disagreements N

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

#include "proto/shared_memory.h"

namespace leakwatch::preload {

void count_walk(std::uint64_t known, std::uint64_t walked);

namespace {

std::atomic<std::uint64_t> walks, found, disagreements;

[[gnu::destructor]] void write_counts() {
  const char* path = getenv("LEAKWATCH_WALK_COUNTS");
  if (path == nullptr || walks == 0) return;
  char line[128];
  const int size = snprintf(line, sizeof line, "walks %lu found %lu disagreements %lu\n", walks.load(), found.load(),
                            disagreements.load());
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (write(file, line, static_cast<size_t>(size)) != size) abort();
  close(file);
}

}  // namespace

// `known` is what was remembered of a walk, or shared::kNoStack; `walked` is what it found.
void count_walk(std::uint64_t known, std::uint64_t walked) {
  walks.fetch_add(1, std::memory_order_relaxed);
  if (known == shared::kNoStack) return;
  found.fetch_add(1, std::memory_order_relaxed);
  if (known != walked) disagreements.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace leakwatch::preload
