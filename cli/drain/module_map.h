// SPDX-License-Identifier: Apache-2.0
//
// Which module an address belonged to when its stack was taken. Modules come from the target's announcements; the main
// executable is known from the start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/drain/shared_region.h"
#include "cli/state/snapshot.h"
#include "symbolize/module.h"

namespace leakwatch {

class ModuleMap {
 public:
  // `executable` becomes module 0; what the target later says of its main program completes it. `folder` is what
  // relative paths are relative to.
  ModuleMap(Module executable, std::string folder);

  void add(const RawModule& raw);

  // `raw` as the stack table has it: a mark, an interrupted instruction, or a return address.
  CodeAddress locate(std::uint64_t raw, std::uint64_t epoch) const;
  StackTrace locate(const RawStack& stack) const;

  // Index 0 is the main executable. Only grows.
  const std::vector<Module>& modules() const { return modules_; }

 private:
  void learn_executable(Module announced);

  struct Range {
    std::uint64_t start;
    std::uint64_t limit;
    std::uint64_t epoch;
    std::uint32_t module;
  };
  std::vector<Module> modules_;
  std::vector<Range> ranges_;
  std::string folder_;
};

}  // namespace leakwatch
