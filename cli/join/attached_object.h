// SPDX-License-Identifier: Apache-2.0
//
// Our object in a process that already runs: brought there, made to begin and to end, and asked how it went. What it
// says of itself is described in proto/attach_state.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/join/attach_check.h"
#include "cli/join/object_control.h"
#include "cli/trace/remote_call.h"
#include "proto/attach_state.h"

namespace leakwatch {

// What the process said, in words that go on "the process"; empty when all went well.
std::string_view words_for(attach::Outcome outcome);

// Throws Error when the process has the object of another leakwatch than this one.
void refuse_other_version(const AttachFacts& facts);

class AttachedObject : public ObjectControl {
 public:
  explicit AttachedObject(const AttachFacts& facts);

  // Throws Error: no thread came to a safe place, the loader refused, it has another version of ours.
  void load() override;

  // Sends a thread of the process into leakwatch_attach, which calls back at `socket`. Throws Error.
  void begin(const std::string& socket) override;
  std::string failure() override;

  bool is_beginning(std::chrono::milliseconds patience) override;

  // Modules came or went since the last time: has the process look at them.
  void tend() override;

  std::string end() override;

 private:
  void begin_again();
  std::uint64_t function(const char* name);
  struct Report {
    attach::Outcome outcome = attach::Outcome::kDone;  // of the last call
    std::uint32_t modules_unready = 0;                 // were still being loaded
  };
  std::optional<Report> report();
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
