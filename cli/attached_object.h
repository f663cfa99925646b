// SPDX-License-Identifier: Apache-2.0
//
// Our object in a process that already runs: brought there, made to begin and to end, and asked how it went. What it
// says of itself is described in proto/attach_state.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/attach_check.h"
#include "cli/remote_call.h"
#include "proto/attach_state.h"

namespace leakwatch {

class AttachedObject {
 public:
  explicit AttachedObject(const AttachFacts& facts);

  // Has the process load the object unless it has it already. Throws Error: no thread came to a safe place, the loader
  // refused, it has another version of ours.
  void load();

  // Sends a thread of the process into leakwatch_attach, which calls back at `socket`. Throws Error.
  void begin(const std::string& socket);
  // Why that has failed, as a sentence. Empty while it is under way, and when it went well.
  std::string failure();

  // Whether that is still under way; waits for at most `patience`. Once it is over without a failure, all is recorded.
  bool is_beginning(RemoteCall::Clock::duration patience);

  // Modules came or went since the last time: has the process look at them. To be called every second or so.
  void follow_modules();

  // Has the process put everything back. A sentence when it could not; else empty.
  std::string end();

 private:
  void begin_again();
  std::uint64_t function(const char* name);
  struct Report {
    attach::Outcome outcome = attach::Outcome::kDone;  // of the last call
    std::uint32_t modules_unready = 0;                 // were still being loaded
  };
  std::optional<Report> report();
  attach::Outcome call_and_wait(const char* name, const std::vector<RemoteArgument>& arguments, std::string& reason);
  std::vector<std::string> module_list();

  const AttachFacts facts_;
  RemoteCall remote_;
  LoadedModules modules_;
  std::vector<std::string> known_modules_;
  std::string socket_;
  bool is_beginning_ = false;
  int beginnings_left_ = 0;
  // After the beginning too: what another thread was binding just then may have undone a slot.
  bool owes_look_ = true;
};

}  // namespace leakwatch
