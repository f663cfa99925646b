// SPDX-License-Identifier: Apache-2.0
//
// What stands at an address of a profile, whatever kind of address it is: functions of a module, code outside every
// file, a frame that we put in ourselves.
#pragma once

#include <vector>

#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"
#include "symbolize/module.h"
#include "symbolize/symbolizer.h"

namespace leakwatch {

class FrameFinder {
 public:
  // Both must outlive it.
  FrameFinder(const std::vector<Module>& modules, const SymbolLookup& symbols) : modules_(modules), symbols_(symbols) {}

  // Innermost first, at least one with a name. Good until the next call.
  const std::vector<Frame>& at(const CodeAddress& address);

 private:
  const std::vector<Module>& modules_;
  const SymbolLookup& symbols_;
  std::vector<Frame> made_up_{1};
};

}  // namespace leakwatch
