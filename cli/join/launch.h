// SPDX-License-Identifier: Apache-2.0
//
// Starts the program under watch: a child that waits for our word, so that everything which can fail fails before it
// runs, and then executes the program with our object in LD_PRELOAD.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "cli/base/descriptor.h"

namespace leakwatch {

struct LaunchPlan {
  std::string file;                    // what to execute
  std::vector<std::string> arguments;  // argv, with the name as the user typed it
  std::string preload;                 // path of our object
  std::string socket;                  // path of the rendezvous
};

class Child {
 public:
  // Forks. The child does nothing yet but wait. The program gets `signal_mask` and, where that is given, the limit
  // `descriptors` on them.
  // Throws Error.
  Child(const LaunchPlan& plan, const sigset_t& signal_mask, const std::optional<rlimit>& descriptors);
  ~Child();  // a child that was never started is ended
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.number(); }  // readable when the program has ended

  // Executes the program. Throws Error (126, 127) when that fails.
  void start();

  // After it has ended: its exit status, or 128 + N after signal N.
  int wait();

 private:
  pid_t pid_ = -1;
  Descriptor pidfd_;
  Descriptor go_;       // a byte sent here starts it
  Descriptor failure_;  // an error number comes back when it cannot be executed
  bool started_ = false;
};

}  // namespace leakwatch
