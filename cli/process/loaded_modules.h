// SPDX-License-Identifier: Apache-2.0
//
// The modules that a process has loaded, with what each exports: which of them is libc, which the loader, which one of
// ours, and where a function is that is to be called there. They are told by their own names (DT_SONAME), as paths may
// be any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/process/loaded_symbols.h"
#include "symbolize/process_maps.h"

namespace leakwatch {

enum class ModuleRole : std::uint8_t {
  kProgram,    // the main executable
  kLibc,       // glibc's
  kLoader,     // glibc's
  kOwn,        // leakwatch's object
  kAllocator,  // another library that has both malloc and free
  kOther,
};

struct LoadedModule {
  std::uint64_t start = 0;  // of its ELF header
  std::string path;         // as the process names it
  ModuleRole role = ModuleRole::kOther;
  LoadedExports exports;
  std::vector<MemoryMapping> code;  // its executable mappings
};

class LoadedModules {
 public:
  explicit LoadedModules(pid_t pid) : pid_(pid) {}

  // Looks again. False when the maps cannot be read. Cheap while nothing was loaded.
  bool refresh();

  const std::vector<MemoryMapping>& mappings() const { return mappings_; }
  std::vector<const LoadedModule*> all() const;
  const LoadedModule* with_role(ModuleRole role) const;
  const LoadedModule* at(std::uint64_t code_address) const;
  bool program_has_allocator() const;  // exports a malloc of its own

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // start, inode
  void add_code(const MemoryMapping& mapping, const std::string& executable);
  ModuleRole role_of(const LoadedModule& module, const std::string& executable) const;

  pid_t pid_;
  std::string maps_text_;
  std::vector<MemoryMapping> mappings_;
  std::map<Key, LoadedModule> modules_;
};

}  // namespace leakwatch
