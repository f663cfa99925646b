// SPDX-License-Identifier: Apache-2.0

#include "cli/base/background_thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace leakwatch {

namespace {

// While it lives, so that a thread that is made meanwhile never was without it.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

std::thread background_thread(const char* name, int niceness, std::function<void()> body) {
  const AllSignalsBlocked blocked;
  return std::thread([name, niceness, body = std::move(body)] {
    pthread_setname_np(pthread_self(), name);
    // On Linux the niceness is the calling thread's own. Where it cannot be had, the work is done all the same.
    if (niceness != 0) setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + niceness);
    body();
  });
}

}  // namespace leakwatch
