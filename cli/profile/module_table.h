// SPDX-License-Identifier: Apache-2.0
//
// The modules of a profile in an order of their own: the main executable, then by contents. Equal ones are one. Paths
// come before addresses, so that the order is the same in every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"
#include "symbolize/module.h"

namespace leakwatch {

class ModuleTable {
 public:
  // The main executable is the first module of the first part.
  explicit ModuleTable(const ProfileContent& content);

  // Segments are in order, and no module is without one, since its locations need one to be measured from.
  const std::vector<Module>& modules() const { return modules_; }

  // An address of that part's stacks, with `module` as an index of modules().
  CodeAddress translate(std::size_t part, const CodeAddress& address) const {
    if (address.module >= CodeAddress::kMarkFrame) return address;
    return {address.address, ranks_[part].at(address.module)};
  }

 private:
  std::uint32_t rank(const Module& module) const;

  std::vector<Module> modules_;
  std::vector<std::vector<std::uint32_t>> ranks_;  // by part, then by the part's own index
};

// A file that was removed or replaced while it was mapped is still the one of that name.
std::string without_deleted(const std::string& path);

}  // namespace leakwatch
