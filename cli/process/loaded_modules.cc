// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/process/loaded_modules.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

namespace leakwatch {

namespace {

std::string executable_name(pid_t pid) {
  std::error_code error;
  return std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error).string();
}

// The last mapping, at or below `code`, of the file's beginning.
const MemoryMapping* header_of(const std::vector<MemoryMapping>& mappings, const MemoryMapping& code) {
  const MemoryMapping* header = nullptr;
  for (const MemoryMapping& mapping : mappings) {
    if (mapping.start > code.start) break;
    if (mapping.file_offset == 0 && mapping.readable && mapping.is_same_file(code)) header = &mapping;
  }
  return header;
}

}  // namespace

bool LoadedModules::refresh() {
  std::string text = read_maps_text(pid_);
  if (text.empty()) return false;
  if (text == maps_text_) return true;
  maps_text_ = std::move(text);
  mappings_ = parse_maps(maps_text_);
  const std::string executable = executable_name(pid_);
  for (auto& [key, module] : modules_) module.code.clear();
  for (const MemoryMapping& mapping : mappings_) {
    if (mapping.executable && mapping.inode != 0) add_code(mapping, executable);
  }
  std::erase_if(modules_, [](const auto& entry) { return entry.second.code.empty(); });
  return true;
}

void LoadedModules::add_code(const MemoryMapping& mapping, const std::string& executable) {
  const MemoryMapping* header = header_of(mappings_, mapping);
  if (header == nullptr) return;
  const auto [place, is_new] = modules_.try_emplace({header->start, header->inode});
  LoadedModule& module = place->second;
  if (is_new || module.path != mapping.name) {
    module.start = header->start;
    module.path = mapping.name;
    module.exports = read_loaded_exports(pid_, header->start);
    module.role = role_of(module, executable);
  }
  module.code.push_back(mapping);
}

ModuleRole LoadedModules::role_of(const LoadedModule& module, const std::string& executable) const {
  const std::string_view name = module.exports.soname;
  if (module.path == executable) return ModuleRole::kProgram;
  if (name == "libc.so.6") return ModuleRole::kLibc;
  if (name.starts_with("ld-linux") || name.starts_with("ld64.so")) return ModuleRole::kLoader;
  if (name.starts_with("libleakwatch")) return ModuleRole::kOwn;
  const bool is_allocator = module.exports.find("malloc") != nullptr && module.exports.find("free") != nullptr;
  return is_allocator ? ModuleRole::kAllocator : ModuleRole::kOther;
}

std::vector<const LoadedModule*> LoadedModules::all() const {
  std::vector<const LoadedModule*> modules;
  for (const auto& [key, module] : modules_) modules.push_back(&module);
  return modules;
}

const LoadedModule* LoadedModules::with_role(ModuleRole role) const {
  for (const auto& [key, module] : modules_) {
    if (module.role == role) return &module;
  }
  return nullptr;
}

const LoadedModule* LoadedModules::at(std::uint64_t code_address) const {
  auto next = modules_.upper_bound({code_address, ~std::uint64_t{0}});
  while (next != modules_.begin()) {
    --next;
    for (const MemoryMapping& mapping : next->second.code) {
      if (code_address >= mapping.start && code_address < mapping.limit) return &next->second;
    }
  }
  return nullptr;
}

bool LoadedModules::program_has_allocator() const {
  const LoadedModule* program = with_role(ModuleRole::kProgram);
  return program != nullptr && program->exports.find("malloc") != nullptr;
}

}  // namespace leakwatch
