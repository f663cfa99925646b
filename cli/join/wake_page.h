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

#include "cli/base/descriptor.h"
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

  // `process` is the number that it has for itself. The call stays when this object goes, unless it is withdrawn.
  // Throws Error when others have taken all places.
  void call(std::uint32_t process, wake::Action action, const std::string& socket = {});
  void call_again();  // the same, should it have been missed
  void silence();     // nobody shall follow it any more; who has begun with it still answers
  void withdraw();    // the same, and others may have its place

  bool is_taken() const;                          // the process has begun with it
  std::optional<attach::Outcome> answer() const;  // how the call went; nothing so far

 private:
  void claim_place(std::uint32_t process);
  bool is_claimable(std::size_t place, std::uint32_t process, int pass) const;
  std::uint32_t new_number() const;
  std::uint32_t word(std::size_t member) const;  // of our place

  Descriptor folder_;
  Descriptor file_;
  std::string named_folder_;
  std::string executable_;
  std::optional<std::size_t> place_;  // of which we have the lock
  std::uint32_t number_ = 0;
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
