// SPDX-License-Identifier: Apache-2.0
//
// See the header. The texts are for people who know their program and not ours. Nothing here runs the program, and no
// byte of the file reaches a terminal unescaped.

#include "cli/join/program_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>

#include "cli/base/refusal.h"

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
      fmt::format("{} is statically linked: it has no dynamic loader that could load leakwatch. Link it dynamically "
                  "(without -static or -static-pie).",
                  program.subject));
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
void refuse_library_of_sanitizer(const Program& program, const Strings& libraries) {
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

// With a prefix or without, each of these leaves a name that nobody else has. A linker that drops what is not called
// may drop the functions that everybody knows, but not those that they all end in.
constexpr std::array<AllocatorMark, 18> kAllocatorMarks = {{
    {"je_malloc", "jemalloc"},
    {"_rjem_malloc", "jemalloc"},
    {"_rjem_mallocx", "jemalloc"},
    {"mallocx", "jemalloc"},
    {"je_mallocx", "jemalloc"},
    {"mallctl", "jemalloc"},
    {"tc_malloc", "tcmalloc"},
    {"TCMallocInternalMalloc", "tcmalloc"},
    {"mi_malloc", "mimalloc"},
    {"_mi_malloc", "mimalloc"},
    {"mi_heap_malloc", "mimalloc"},
    {"mi_malloc_aligned", "mimalloc"},
    {"_mi_malloc_generic", "mimalloc"},
    {"sn_malloc", "snmalloc"},
    {"sn_rust_alloc", "snmalloc"},
    {"rpmalloc", "rpmalloc"},
    {"rpaligned_alloc", "rpmalloc"},
    {"scalable_malloc", "the TBB allocator"},
}};

struct AllocatorTexts {
  std::array<std::string_view, 2> texts;  // both are there, whatever it was configured with
  std::string_view allocator;
};

// What these print themselves; of others we know no text that nobody else has.
constexpr std::array<AllocatorTexts, 2> kAllocatorTexts = {{
    {{"<jemalloc>: ", "___ Begin jemalloc statistics ___"}, "jemalloc"},
    {{"mimalloc: error: ", "mimalloc: warning: "}, "mimalloc"},
}};

// Python has had mimalloc in it since 3.13, and goes to it only where it has no global interpreter lock, or is told to
// ("Memory Management" in the manual of its C API). Of a process to be joined we do not know what it was told.
constexpr std::string_view kPython = "Py_BytesMain";
constexpr std::string_view kPythonWithoutLock = "_Py_DecRefShared";

bool is_python_with_lock(const std::set<std::string_view>& defined) {
  const char* const told = std::getenv("PYTHONMALLOC");
  const bool is_told_to = told != nullptr && std::string_view(told).starts_with("mimalloc");
  return defined.contains(kPython) && !defined.contains(kPythonWithoutLock) && !is_told_to;
}

std::vector<std::string_view> telling_symbols() {
  std::vector<std::string_view> symbols = {"malloc", kPython, kPythonWithoutLock};
  for (const AllocatorMark& mark : kAllocatorMarks) symbols.push_back(mark.symbol);
  for (const Sanitizer& sanitizer : kSanitizers) symbols.push_back(sanitizer.symbol);
  return symbols;
}

// Texts are looked for where the names are gone: they say less, and reading them takes longer.
std::set<std::string_view> allocators_of_stripped(const ElfFile& elf) {
  std::set<std::string_view> allocators;
  if (elf.has_section(".symtab")) return allocators;
  const std::string_view constants = elf.section_content(".rodata");
  for (const AllocatorTexts& each : kAllocatorTexts) {
    const auto is_there = [&](std::string_view text) {
      return memmem(constants.data(), constants.size(), text.data(), text.size()) != nullptr;
    };
    if (std::all_of(each.texts.begin(), each.texts.end(), is_there)) allocators.insert(each.allocator);
  }
  return allocators;
}

std::set<std::string_view> allocators_linked_in(const ElfFile& elf, const std::set<std::string_view>& defined) {
  std::set<std::string_view> allocators = allocators_of_stripped(elf);
  for (const AllocatorMark& mark : kAllocatorMarks) {
    if (defined.contains(mark.symbol)) allocators.insert(mark.allocator);
  }
  if (is_python_with_lock(defined)) allocators.erase("mimalloc");
  if (allocators.empty() && defined.contains("malloc")) allocators.insert("a malloc of its own");
  return allocators;
}

std::vector<std::string> warnings_about(const Program& program, const std::set<std::string_view>& defined) {
  std::vector<std::string> warnings;
  for (const std::string_view allocator : allocators_linked_in(program.elf, defined)) {
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

}  // namespace

void refuse_other_kind(const Program& program) {
  refuse_other_machine(program);
  refuse_damaged(program);
  refuse_static(program);
}

void refuse_musl(const Program& program) {
  if (!is_musl(program.elf)) return;
  refuse(
      fmt::format("{} is linked with musl, and leakwatch with glibc: one process cannot hold both. Build it on a "
                  "distribution with glibc.",
                  program.subject));
}

void refuse_other_loader(const Program& program) {
  refuse_musl(program);
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

void refuse_sanitizer_libraries(const Program& program, const std::vector<std::string>& libraries) {
  refuse_library_of_sanitizer(program, libraries);
}

std::vector<std::string> inspect_allocators(const Program& program) {
  refuse_library_of_sanitizer(program, program.elf.needed());
  const std::set<std::string_view> defined = program.elf.defined(telling_symbols(), SymbolScope::kEverywhere);
  refuse_sanitizer_linked_in(program, defined);
  return warnings_about(program, defined);
}

}  // namespace leakwatch
