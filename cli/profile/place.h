// SPDX-License-Identifier: Apache-2.0
//
// The place in the program's own code that a stack stands for: the first frame, from the leaf, that lies in the main
// executable or in a library outside the system's folders and is no C++ or Rust library code inlined there; else the
// leaf.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"

namespace leakwatch {

struct Place {
  std::string function;
  std::string full_location;  // with the whole path: two files of one name stay apart
  std::string location;       // "session.cc:41", or "module+0x…" when nothing better is known
};

class PlaceFinder {
 public:
  PlaceFinder(const std::vector<Module>& modules, const SymbolLookup& symbols) : modules_(modules), symbols_(symbols) {}

  Place find(const StackTrace& stack) const;

 private:
  bool is_own(const CodeAddress& address) const;
  const Module& module(const CodeAddress& address) const { return modules_.at(address.module); }
  std::uint64_t in_file(const CodeAddress& address) const { return address.address - module(address).bias; }
  const std::vector<Frame>& frames(const CodeAddress& address) const;
  Place place(const CodeAddress& address, const Frame& frame) const;
  Place leaf(const StackTrace& stack) const;

  const std::vector<Module>& modules_;
  const SymbolLookup& symbols_;
};

// "void a::b<int>(int) const" as "a::b<int>": tables have no room for parameters, and a template's begins with what it
// returns.
std::string without_signature(std::string_view function);

}  // namespace leakwatch
