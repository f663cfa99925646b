// SPDX-License-Identifier: Apache-2.0
//
// A program that cannot be watched looks, under a preload, like a program without a single allocation. So whatever we
// can know from its file is said before it starts: a refusal in one or two sentences, or a warning that names what will
// stay unseen. The order is that of execvp and the kernel: find the file, follow its #! lines, then look at the ELF
// file at the end of them, and last ask its loader for the libraries.
//
//   command ─▶ find on PATH ─▶ #! … env … ─▶ executable ─▶ machine, loader, privileges, sanitizer ─▶ libraries
//
// The texts are for people who know their program and not ours. Nothing here runs the program, and no byte of the file
// reaches a terminal unescaped.
#include "cli/join/preflight.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "cli/base/refusal.h"
#include "cli/join/command_path.h"
#include "cli/join/library_list.h"
#include "cli/join/program_check.h"
#include "cli/process/elf_file.h"

namespace leakwatch {

namespace {

bool has_file_capabilities(const std::string& path) {
  return getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

void refuse_privileged(const Program& program) {
  struct stat status = {};
  if (stat(program.path.c_str(), &status) != 0) {
    refuse(fmt::format("{} cannot be reached: {}.", program.subject, std::strerror(errno)));
  }
  const ucred real = {0, getuid(), getgid()};
  const ucred effective = {0, geteuid(), getegid()};
  const std::string why = privileges_gained(status, has_file_capabilities(program.path), real, effective);
  if (!why.empty()) refuse(fmt::format("{} {}", program.subject, why));
}

// libc has malloc and libstdc++ the operators; only an allocator library has both, and then the one need not call the
// other.
bool has_own_operators(const std::string& library) {
  constexpr std::array<std::string_view, 2> kBoth = {"malloc", "_Znwm"};
  const MappedFile file(library);
  const ElfFile elf(file.bytes());
  return elf.defined(kBoth, SymbolScope::kExported).size() == kBoth.size();
}

void inspect_libraries(const Program& program, Preflight& result) {
  const std::string loader(program.elf.interpreter().value_or(""));
  const std::vector<std::string> libraries = list_libraries(loader, program.path);
  refuse_sanitizer_libraries(program, libraries);
  result.own_operators = std::any_of(libraries.begin(), libraries.end(), has_own_operators);
}

void inspect_program(const Program& program, Preflight& result) {
  refuse_other_kind(program);
  refuse_privileged(program);
  refuse_other_loader(program);
  result.warnings = inspect_allocators(program);
  inspect_libraries(program, result);
}

}  // namespace

std::string privileges_gained(const struct stat& file, bool has_capabilities, const ucred& real,
                              const ucred& effective) {
  // Bits that name the ids which the process has anyway change nothing, and the loader goes on to preload.
  const bool changes_user = file.st_uid != real.uid || file.st_uid != effective.uid;
  const bool changes_group = file.st_gid != real.gid || file.st_gid != effective.gid;
  constexpr std::string_view kEffect = "so it starts with other rights and the dynamic loader ignores preloads";
  if ((file.st_mode & S_ISUID) != 0 && changes_user) {
    return fmt::format("is set-uid, {}. Watch a copy without that bit, or start leakwatch as its owner (uid {}).",
                       kEffect, file.st_uid);
  }
  // Without the execute bit of the group, set-gid has another meaning.
  if ((file.st_mode & S_ISGID) != 0 && (file.st_mode & S_IXGRP) != 0 && changes_group) {
    return fmt::format("is set-gid, {}. Watch a copy without that bit, or start leakwatch with its group (gid {}).",
                       kEffect, file.st_gid);
  }
  // Root has them all, and the kernel does not count that as a gain.
  if (has_capabilities && real.uid != 0) {
    return fmt::format("has file capabilities, {}. Watch a copy (cp leaves them behind), or start leakwatch as root.",
                       kEffect);
  }
  return {};
}

Preflight inspect_command(const std::string& command) {
  Preflight result;
  result.command = find_command(command);
  result.executable = follow_scripts(result.command);
  result.is_script = result.executable != result.command;
  const MappedFile file(result.executable);
  if (file.error() != 0) {
    refuse(fmt::format("{} cannot be read: {}.", result.executable, std::strerror(file.error())));
  }
  const std::string subject =
      result.is_script ? fmt::format("{}, which runs {},", result.executable, result.command) : result.command;
  const ElfFile elf(file.bytes());
  if (!elf.is_elf()) refuse(fmt::format("{} is a damaged ELF file: it ends too early. Copy it again.", subject));
  inspect_program({result.executable, subject, elf}, result);
  return result;
}

}  // namespace leakwatch
