// SPDX-License-Identifier: Apache-2.0
//
// Our object in a process that was started with it preloaded, and sleeps: woken, and sent to sleep again, by its wake
// page, without any right to trace it. The process notices with its next allocations; if it makes none, nothing
// happens.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/join/attach_check.h"
#include "cli/join/object_control.h"
#include "cli/join/wake_page.h"

namespace leakwatch {

class SleepingObject : public ObjectControl {
 public:
  SleepingObject(const AttachFacts& facts, std::vector<WakePage> pages);

  void load() override {}  // it is there
  void begin(const std::string& socket) override;
  std::string failure() override;
  bool is_beginning(std::chrono::milliseconds patience) override;
  void tend() override;
  std::string end() override;  // the sentence goes on "the process"

  // Nobody has answered: takes the call back. False when the process has begun to do as it says after all.
  bool withdraw();

 private:
  using Clock = std::chrono::steady_clock;
  void call(wake::Action action);
  void stop_calling();
  std::optional<attach::Outcome> answer() const;
  bool is_taken() const;

  const AttachFacts facts_;
  std::vector<WakePage> pages_;
  std::string socket_;
  bool is_beginning_ = false;
  int beginnings_left_ = 0;
};

}  // namespace leakwatch
