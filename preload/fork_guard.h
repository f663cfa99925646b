// SPDX-License-Identifier: Apache-2.0
//
// Keeps fork and our looks at the loader's modules apart. A child is made of the forking thread alone: a lock of the
// loader that another thread held at that moment is never released in it, and glibc makes new ones of only some. So a
// fork waits for a look to end, and a look for forks. Both only for a time: handlers that other libraries have for fork
// may be waiting for the very thread that wants to look.
#pragma once

#include <atomic>
#include <cstdint>

namespace leakwatch::preload {

class ForkGuard {
 public:
  // One look at a time. False: the program is in the middle of a fork.
  bool begin_look();
  void end_look() { looking_.store(0, std::memory_order_seq_cst); }

  // What pthread_atfork calls.
  void before_fork();
  void after_fork_in_parent() { forks_.fetch_sub(1, std::memory_order_seq_cst); }
  void after_fork_in_child() {
    forks_.store(0, std::memory_order_relaxed);
    looking_.store(0, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint32_t> forks_;
  std::atomic<std::uint32_t> looking_;
};

extern ForkGuard fork_guard;

}  // namespace leakwatch::preload
