// SPDX-License-Identifier: Apache-2.0
//
// What a module that a process has loaded exports, read from the memory of the process: the file may have been replaced
// by a package upgrade or may not be visible from here. The loader keeps all that it needs to bind symbols mapped, and
// only that is read.
//
// The bytes are somebody else's: counts and offsets are bounded, and what does not fit reads as absent.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace leakwatch {

struct LoadedSymbol {
  std::string name;           // without its version
  std::uint64_t address = 0;  // at run time
  std::uint64_t size = 0;
  bool is_function = false;  // or data
};

struct LoadedExports {
  std::string soname;  // empty for most executables
  std::uint64_t bias = 0;
  std::vector<LoadedSymbol> symbols;  // by rising address; a name with several versions is there several times

  const LoadedSymbol* find(std::string_view name) const;
};

// `start` is where the module's ELF header is mapped. Empty when there is no such module or it cannot be read.
LoadedExports read_loaded_exports(pid_t pid, std::uint64_t start);

}  // namespace leakwatch
