// SPDX-License-Identifier: Apache-2.0
//
// The caller's end of proto/wake_page.h: finds the page by which a process can be called that sleeps with our object
// preloaded, calls, and reads the answer. None of that needs the right to trace the process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/descriptor.h"
#include "proto/attach_state.h"
#include "proto/wake_page.h"

namespace leakwatch {

class WakePage {
 public:
  // `folder` and `file` as they were opened, `named` as the process names the folder.
  WakePage(Descriptor folder, Descriptor file, std::string named, std::string executable)
      : folder_(std::move(folder)),
        file_(std::move(file)),
        named_folder_(std::move(named)),
        executable_(std::move(executable)) {}

  const std::string& named_folder() const { return named_folder_; }
  const std::string& executable() const { return executable_; }  // a path of who made the page; may be empty
  int folder() const { return folder_.number(); }

  // Until answered or withdrawn, nobody else can call by this page. `process` is the number that it has for itself.
  // Throws Error when somebody else calls all the time.
  void call(std::uint32_t process, wake::Action action, const std::string& socket = {});
  void call_again();  // the same, should it have been missed
  void withdraw();

  bool is_taken() const;                          // somebody has begun with it
  std::optional<attach::Outcome> answer() const;  // how the call went; nothing so far

 private:
  void lock();
  void publish();
  bool is_own_number(std::uint32_t number) const {
    return number != 0 && number - first_number_ <= number_ - first_number_;
  }

  Descriptor folder_;
  Descriptor file_;
  std::string named_folder_;
  std::string executable_;
  std::uint32_t first_number_ = 0, number_ = 0;
};

struct WakePages {
  std::vector<WakePage> pages;  // the process has one of these, or none
  bool is_certain = false;      // `pages` has its page alone
  std::string obstacle;         // it has one, and why that cannot be used: a sentence; else empty
};

// Who may not look into the process finds all pages that are in use and his own.
WakePages find_wake_pages(pid_t pid);

// Removes the files of processes that have ended, as far as we may.
void remove_abandoned_wake_pages();

}  // namespace leakwatch
