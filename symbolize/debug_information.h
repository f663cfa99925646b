// SPDX-License-Identifier: Apache-2.0
//
// What a module's DWARF says of an address: the function there and all that is inlined into it, with files and lines.
#pragma once

#include <elfutils/libdw.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "symbolize/range_map.h"
#include "symbolize/symbol_table.h"
#include "symbolize/symbolizer.h"

namespace leakwatch {

// One compilation unit; its functions are listed when first needed.
class Unit {
 public:
  explicit Unit(Dwarf_Die entry) : entry_(entry) {}

  Dwarf_Die entry() const { return entry_; }
  std::optional<Dwarf_Die> function_at(Dwarf_Addr pc);

 private:
  Dwarf_Die body() const;
  void list_functions();

  Dwarf_Die entry_;
  bool listed_ = false;
  RangeMap<Dwarf_Die> functions_;
};

struct FunctionName {
  std::string function;
  std::string system_name;
  int start_line = 0;
};

// A module's debug information. Addresses are those of the debug information itself.
class DebugInformation {
 public:
  // `symbols` name the functions that the compiler gave no linkage name; they stand `bias` above ours.
  DebugInformation(Dwarf* dwarf, const SymbolTable& symbols, Dwarf_Addr bias);

  // Innermost first. Empty when no unit covers the pc; one frame without a name when its unit has only lines for it.
  std::vector<Frame> frames(Dwarf_Addr pc);
  bool empty() const { return unit_by_pc_.empty(); }

 private:
  const FunctionName& name_of(Dwarf_Die scope);
  std::string find_system_name(Dwarf_Die entry) const;

  const SymbolTable& symbols_;
  Dwarf_Addr bias_;
  std::vector<Unit> units_;
  RangeMap<std::size_t> unit_by_pc_;
  std::unordered_map<const void*, FunctionName> names_;  // by the entry's bytes in memory
};

}  // namespace leakwatch
