// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/symbol: the names of addresses, for readers of the text forms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/profile/profile.h"

namespace leakwatch {

// `addresses` are numbers with a `+` between them, as a query or a body has them: "0x401135+0x4011ef". The answer is
// "num_symbols: 1", which says that there are symbols at all, and a line "0x401135 NAME" for each address that has one.
// The name is the linker's (_ZN5Cache6insertEi): readers demangle in their own way.
std::string symbol_text(std::string_view addresses, const std::vector<Module>& modules, const SymbolLookup& symbols);

}  // namespace leakwatch
