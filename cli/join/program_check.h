// SPDX-License-Identifier: Apache-2.0
//
// What a program's ELF file says against watching it, in whatever way, and what of it will not be seen. Each refusal
// throws Error (status 126) with a message that says why and what would work.
#pragma once

#include <string>
#include <vector>

#include "cli/process/elf_file.h"

namespace leakwatch {

struct Program {
  std::string path;
  std::string subject;  // how messages begin: the path, and for an interpreter also its script
  const ElfFile& elf;
};

// Another machine's, damaged, no program, or statically linked.
void refuse_other_kind(const Program& program);

void refuse_musl(const Program& program);

// musl's, one that is not there, or unknown.
void refuse_other_loader(const Program& program);

// `libraries` are those that it loads.
void refuse_sanitizer_libraries(const Program& program, const std::vector<std::string>& libraries);

// Refuses a sanitizer; warns, in whole sentences, of allocators that are linked into the executable.
std::vector<std::string> inspect_allocators(const Program& program);

}  // namespace leakwatch
