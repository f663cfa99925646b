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
#include "cli/preflight.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

#include "cli/command_path.h"
#include "cli/elf_file.h"
#include "cli/error.h"
#include "cli/library_list.h"
#include "cli/refusal.h"

namespace leakwatch {

namespace {

#if defined(__x86_64__)
constexpr int kOwnMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int kOwnMachine = EM_AARCH64;
#else
#error "leakwatch runs on x86-64 and aarch64"
#endif

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

struct Program {
  std::string path;
  std::string subject;  // how messages begin: the path, and for an interpreter also its script
  const ElfFile& elf;
};

std::string_view machine_name(int machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "64-bit ARM (aarch64)";
    case EM_386:
      return "32-bit x86";
    case EM_ARM:
      return "32-bit ARM";
    case EM_RISCV:
      return "RISC-V";
    default:
      return "another machine";
  }
}

void refuse_other_machine(const Program& program) {
  const ElfFile& elf = program.elf;
  const std::string remedy = fmt::format("Build it for {} to watch it here.", machine_name(kOwnMachine));
  if (!elf.is_little_endian()) refuse(fmt::format("{} is a big-endian program. {}", program.subject, remedy));
  if (!elf.is_64_bit()) {
    refuse(fmt::format("{} is a 32-bit program, and leakwatch watches 64-bit ones. {}", program.subject, remedy));
  }
  if (elf.machine() == kOwnMachine) return;
  refuse(fmt::format("{} is built for {}, and this leakwatch for {}. Watch it on a machine of its own kind.",
                     program.subject, machine_name(elf.machine()), machine_name(kOwnMachine)));
}

void refuse_damaged(const Program& program) {
  const ElfFile& elf = program.elf;
  if (elf.type() != ET_EXEC && elf.type() != ET_DYN) {
    refuse(fmt::format("{} is an ELF file, but no program: an object file or a core dump. Name the linked program.",
                       program.subject));
  }
  const bool has_loader_name = elf.has_program_headers() && !elf.interpreter().value_or("/").empty();
  if (!has_loader_name) {
    refuse(fmt::format("{} is a damaged ELF file: its headers point outside of it. Build or copy it again.",
                       program.subject));
  }
}

bool is_go(const ElfFile& elf) {
  return elf.has_section(".go.buildinfo") || elf.has_section(".note.go.buildid");
}

bool needs_libc(const ElfFile& elf) {
  const std::vector<std::string_view> needed = elf.needed();
  return std::any_of(needed.begin(), needed.end(), [](std::string_view name) {
    return name.starts_with("libc.") || name.starts_with("libpthread.");
  });
}

void refuse_static(const Program& program) {
  const ElfFile& elf = program.elf;
  const bool has_loader = elf.interpreter().has_value();
  // A position-independent Go program may name a loader, and still has an own runtime in the place of libc.
  if (is_go(elf) && (!has_loader || !needs_libc(elf))) {
    refuse(
        fmt::format("{} is a Go program built without cgo: it has no libc whose malloc could be watched. Go's own "
                    "net/http/pprof sees its heap and its goroutines.",
                    program.subject));
  }
  if (has_loader) return;
  if (elf.type() == ET_DYN && !elf.is_position_independent_executable()) {
    refuse(fmt::format("{} is a shared library or a loader, not a program. Name the program itself.", program.subject));
  }
  refuse(
      fmt::format("{} is statically linked: there is no dynamic loader to preload leakwatch. Link it dynamically "
                  "(without -static or -static-pie).",
                  program.subject));
}

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

bool is_musl(const ElfFile& elf) {
  const std::vector<std::string_view> needed = elf.needed();
  return elf.interpreter().value_or("").find("ld-musl") != std::string_view::npos ||
         std::any_of(needed.begin(), needed.end(),
                     [](std::string_view name) { return name.starts_with("libc.musl-"); });
}

// By its own name in the file, since the path may be any (Nix, patchelf) and may be a link to another one (gcompat).
bool is_glibc_loader(const std::string& path) {
  const MappedFile file(path);
  const ElfFile loader(file.bytes());
  if (!loader.is_elf()) return false;
  const std::string_view name = loader.soname();
  return name.starts_with("ld-linux") || name.starts_with("ld64.so") || name.starts_with("ld.so");
}

void refuse_other_loader(const Program& program) {
  if (is_musl(program.elf)) {
    refuse(
        fmt::format("{} is linked with musl, and leakwatch with glibc: one process cannot hold both. Build it on a "
                    "distribution with glibc.",
                    program.subject));
  }
  const std::string loader(program.elf.interpreter().value_or(""));
  if (access(loader.c_str(), F_OK) != 0) {
    refuse(
        fmt::format("{} cannot start: its loader {} does not exist. Install that C library, or build the program on "
                    "this system.",
                    program.subject, loader));
  }
  if (is_glibc_loader(loader)) return;
  refuse(
      fmt::format("{} is loaded by {}, which is not glibc's loader, the only one that leakwatch knows. Build it on a "
                  "distribution with glibc.",
                  program.subject, loader));
}

struct Sanitizer {
  std::string_view name;
  std::string_view flag;     // the compiler's -fsanitize=
  std::string_view symbol;   // defined where the runtime is linked in
  std::string_view library;  // how the runtime's file name begins, after "lib"
};

// UBSan is not among them: it leaves malloc alone.
constexpr std::array<Sanitizer, 5> kSanitizers = {{
    {"AddressSanitizer", "address", "__asan_init", "asan"},
    {"hardware AddressSanitizer", "hwaddress", "__hwasan_init", "hwasan"},
    {"ThreadSanitizer", "thread", "__tsan_init", "tsan"},
    {"MemorySanitizer", "memory", "__msan_init", "msan"},
    {"LeakSanitizer", "leak", "__lsan_init", "lsan"},
}};

bool is_runtime_of(const Sanitizer& sanitizer, std::string_view library) {
  const std::string_view file = base_name(library);
  return file.starts_with(fmt::format("lib{}.so", sanitizer.library)) ||
         file.starts_with(fmt::format("libclang_rt.{}", sanitizer.library));
}

template <typename Strings>
void refuse_sanitizer_library(const Program& program, const Strings& libraries) {
  for (const Sanitizer& sanitizer : kSanitizers) {
    for (const auto& library : libraries) {
      if (!is_runtime_of(sanitizer, library)) continue;
      refuse(
          fmt::format("{} loads {}, the runtime of {}, which has a malloc of its own and must come first. Build it "
                      "without -fsanitize={}.",
                      program.subject, base_name(library), sanitizer.name, sanitizer.flag));
    }
  }
}

void refuse_sanitizer_linked_in(const Program& program, const std::set<std::string_view>& defined) {
  for (const Sanitizer& sanitizer : kSanitizers) {
    if (!defined.contains(sanitizer.symbol)) continue;
    refuse(
        fmt::format("{} is built with {}, which has a malloc of its own and must come first. Build it without "
                    "-fsanitize={}.",
                    program.subject, sanitizer.name, sanitizer.flag));
  }
}

struct AllocatorMark {
  std::string_view symbol;
  std::string_view allocator;
};

// With a prefix or without, each of these leaves a name that nobody else has.
constexpr std::array<AllocatorMark, 14> kAllocatorMarks = {{
    {"je_malloc", "jemalloc"},
    {"_rjem_malloc", "jemalloc"},
    {"mallocx", "jemalloc"},
    {"je_mallocx", "jemalloc"},
    {"mallctl", "jemalloc"},
    {"tc_malloc", "tcmalloc"},
    {"TCMallocInternalMalloc", "tcmalloc"},
    {"mi_malloc", "mimalloc"},
    {"_mi_malloc", "mimalloc"},
    {"mi_heap_malloc", "mimalloc"},
    {"sn_malloc", "snmalloc"},
    {"sn_rust_alloc", "snmalloc"},
    {"rpmalloc", "rpmalloc"},
    {"scalable_malloc", "the TBB allocator"},
}};

std::vector<std::string_view> telling_symbols() {
  std::vector<std::string_view> symbols = {"malloc"};
  for (const AllocatorMark& mark : kAllocatorMarks) symbols.push_back(mark.symbol);
  for (const Sanitizer& sanitizer : kSanitizers) symbols.push_back(sanitizer.symbol);
  return symbols;
}

std::set<std::string_view> allocators_linked_in(const std::set<std::string_view>& defined) {
  std::set<std::string_view> allocators;
  for (const AllocatorMark& mark : kAllocatorMarks) {
    if (defined.contains(mark.symbol)) allocators.insert(mark.allocator);
  }
  if (allocators.empty() && defined.contains("malloc")) allocators.insert("a malloc of its own");
  return allocators;
}

std::vector<std::string> warnings_about(const Program& program, const std::set<std::string_view>& defined) {
  std::vector<std::string> warnings;
  for (const std::string_view allocator : allocators_linked_in(defined)) {
    warnings.push_back(
        fmt::format("{} has {} linked in: allocations through it will not be seen, so the live heap shown will be far "
                    "below RSS.",
                    program.subject, allocator));
  }
  if (is_go(program.elf)) {
    warnings.push_back(fmt::format(
        "{} is a Go program: Go's own heap does not go through malloc and will not be seen, only what its C "
        "code allocates. Go's net/http/pprof sees the rest.",
        program.subject));
  }
  return warnings;
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
  refuse_sanitizer_library(program, libraries);
  result.own_operators = std::any_of(libraries.begin(), libraries.end(), has_own_operators);
}

void inspect_program(const Program& program, Preflight& result) {
  refuse_other_machine(program);
  refuse_damaged(program);
  refuse_static(program);
  refuse_privileged(program);
  refuse_other_loader(program);
  refuse_sanitizer_library(program, program.elf.needed());
  const std::set<std::string_view> defined = program.elf.defined(telling_symbols(), SymbolScope::kEverywhere);
  refuse_sanitizer_linked_in(program, defined);
  result.warnings = warnings_about(program, defined);
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
