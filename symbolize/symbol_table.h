// SPDX-License-Identifier: Apache-2.0
//
// The functions that a module's symbol table names.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "symbolize/range_map.h"

namespace leakwatch {

// The functions of .symtab or else .dynsym, whichever libdwfl prefers of the file and its separate debug file.
class SymbolTable {
 public:
  explicit SymbolTable(Dwfl_Module* module);

  // The name of the function that covers the address; empty without one.
  std::string covering(std::uint64_t address) const;
  // The same, for a function that begins exactly there.
  std::string beginning(std::uint64_t address) const;
  bool empty() const { return sized_.empty() && sizeless_.empty(); }

 private:
  struct Symbol;
  static bool worse(const Symbol& a, const Symbol& b);
  static std::vector<Symbol> read_all(Dwfl_Module* module);
  void take(std::vector<Symbol> symbols);

  RangeMap<std::string_view> sized_;
  // Assembly without a size reaches to the next symbol. Asked second: such labels also stand inside of functions.
  RangeMap<std::string_view> sizeless_;
};

}  // namespace leakwatch
