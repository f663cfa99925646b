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

#include <fcntl.h>
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

#include "cli/elf_file.h"
#include "cli/error.h"
#include "cli/library_list.h"

namespace leakwatch {

// Declared here and in its test: why the kernel would start `file` in secure mode, in which the dynamic loader ignores
// preloads, for a process with these real and effective ids; "" if it would not.
std::string privileges_gained(const struct stat& file, bool has_capabilities, const ucred& real,
                              const ucred& effective);

namespace {

#if defined(__x86_64__)
constexpr int kOwnMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int kOwnMachine = EM_AARCH64;
#else
#error "leakwatch runs on x86-64 and aarch64"
#endif

constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;
constexpr int kMaxScripts = 5;                 // as the kernel: then it gives up with ELOOP
constexpr std::size_t kScriptHeadBytes = 256;  // as much as the kernel reads of a #! line
constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kDefaultPath = "/bin:/usr/bin";  // what execvp takes when PATH is not set

[[noreturn]] void refuse(std::string message, int status = kCannotExecute) {
  // Names come from files; a terminal must not obey them.
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  throw Error(message, status);
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

struct SearchResult {
  std::string file;         // "" if nothing can be executed
  std::string not_allowed;  // the first file of that name that cannot be
};

bool can_execute(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

std::string search_path() {
  const char* path = getenv("PATH");
  return path != nullptr ? path : std::string(kDefaultPath);
}

SearchResult search(const std::string& name, std::string_view folders) {
  SearchResult result;
  while (true) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::string folder(end == 0 ? "." : folders.substr(0, end));
    const std::string candidate = fmt::format("{}/{}", folder, name);
    struct stat status = {};
    if (stat(candidate.c_str(), &status) == 0) {
      if (S_ISREG(status.st_mode) && can_execute(candidate)) return {candidate, {}};
      if (result.not_allowed.empty()) result.not_allowed = candidate;
    }
    if (end == folders.size()) return result;
    folders.remove_prefix(end + 1);
  }
}

void require_executable(const std::string& path, const std::string& subject) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    const bool is_missing = errno == ENOENT || errno == ENOTDIR;
    if (is_missing) refuse(fmt::format("{} does not exist. Check the path.", subject), kNotFound);
    refuse(fmt::format("{} cannot be reached: {}.", subject, std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) refuse(fmt::format("{} is a folder. Name the program in it.", subject));
  if (!S_ISREG(status.st_mode)) refuse(fmt::format("{} is not a regular file, so it cannot be executed.", subject));
  if (!can_execute(path)) {
    refuse(fmt::format("{} is not executable by this user. chmod +x, or another mount or user, would help.", subject));
  }
}

std::string find_command(const std::string& command) {
  if (command.find('/') != std::string::npos) {
    require_executable(command, command);
    return command;
  }
  if (command.empty()) refuse("The name of the program is empty. Give its path, or its name on PATH.", kNotFound);
  const SearchResult found = search(command, search_path());
  if (!found.file.empty()) return found.file;
  if (!found.not_allowed.empty()) require_executable(found.not_allowed, found.not_allowed);
  const bool is_here = access(command.c_str(), F_OK) == 0;
  const std::string hint = is_here ? fmt::format("write ./{} for the one in this folder", command) : "give its path";
  refuse(fmt::format("{} was not found in any folder of PATH: {}.", command, hint), kNotFound);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

struct ScriptLine {
  std::string interpreter;
  std::string argument;  // all the rest of the line: the kernel does not split it
};

std::optional<ScriptLine> parse_script_line(std::string_view head) {
  if (!head.starts_with("#!")) return std::nullopt;
  const std::size_t line_bytes = std::min(head.find_first_of(std::string_view("\n\0", 2)), head.size()) - 2;
  std::string_view line = head.substr(2, line_bytes);
  const std::string interpreter(take_word(line));
  const bool is_cut = head.size() == kScriptHeadBytes && 2 + line_bytes == head.size() && line.empty();
  if (interpreter.empty() || is_cut) return std::nullopt;  // the kernel refuses both, and execvp takes the shell
  return ScriptLine{interpreter, std::string(line)};
}

// What env(1) makes of its one argument: a name, or after -S a line of options, assignments and then a name.
struct EnvArgument {
  std::string program;
  std::string path = search_path();
  bool clears_environment = false;
};

bool is_split_option(std::string_view word) {
  const bool is_short = word.size() > 1 && word[0] == '-' && word[1] != '-';
  return word.starts_with("--split-string") || (is_short && word.find('S') != std::string_view::npos);
}

bool clears_environment(std::string_view word) {
  if (word == "-" || word == "--ignore-environment") return true;
  const bool is_short = word.size() > 1 && word[0] == '-' && word[1] != '-';
  return is_short && word.substr(0, word.find('S')).find('i') != std::string_view::npos;
}

// "-Sname", "-vS name", "--split-string=name": what follows the option in its own word.
std::string_view after_split_option(std::string_view word) {
  if (!word.starts_with("--")) return word.substr(word.find('S') + 1);
  const std::size_t equals = word.find('=');
  return equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
}

EnvArgument parse_env_argument(std::string_view argument) {
  EnvArgument result;
  while (!argument.empty() && result.program.empty()) {
    std::string_view word = take_word(argument);
    if (clears_environment(word)) result.clears_environment = true;
    if (is_split_option(word)) word = after_split_option(word);
    if (word.empty()) continue;
    if (word == "-u" || word == "-C") take_word(argument);
    if (word[0] == '-') continue;
    if (word.starts_with("PATH=")) result.path = word.substr(5);
    if (word.find('=') == std::string_view::npos) result.program = word;
  }
  return result;
}

void require_interpreter(const std::string& interpreter, const std::string& script) {
  try {
    require_executable(interpreter, fmt::format("{}, the interpreter of {},", interpreter, script));
  } catch (const Error& error) {
    refuse(error.what());  // the script itself was found, so this is no "not found"
  }
}

std::string env_target(const std::string& script, const std::string& argument) {
  EnvArgument wanted = parse_env_argument(argument);
  // Without an option the whole argument is the name, blanks and all.
  if (!argument.empty() && argument[0] != '-' && !wanted.program.empty()) wanted.program = argument;
  if (wanted.program.empty()) {
    refuse(fmt::format("The first line of {} calls env without naming an interpreter. Name one there.", script));
  }
  if (wanted.clears_environment) {
    refuse(
        fmt::format("The first line of {} has env clear the environment, and with it what loads leakwatch. Start {} "
                    "with the script as its argument instead.",
                    script, wanted.program));
  }
  if (wanted.program.find('/') != std::string::npos) {
    require_interpreter(wanted.program, script);
    return wanted.program;
  }
  const SearchResult found = search(wanted.program, wanted.path);
  if (!found.file.empty()) return found.file;
  refuse(fmt::format("{} is to run by {}, which was not found in any folder of PATH. Install it, or add its folder.",
                     script, wanted.program));
}

std::string read_head(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    refuse(
        fmt::format("{} cannot be read, so leakwatch cannot tell whether it can be watched: {}. Give this user the "
                    "right to read it.",
                    path, std::strerror(errno)));
  }
  std::array<char, kScriptHeadBytes> head;
  const ssize_t count = pread(fd, head.data(), head.size(), 0);
  close(fd);
  return {head.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
}

std::string interpreter_of(const std::string& script, const std::string& head) {
  const std::optional<ScriptLine> line = parse_script_line(head);
  if (!line) {
    if (head.find('\0') == std::string::npos) return "/bin/sh";  // execvp's last resort, for text without #!
    refuse(
        fmt::format("{} is neither an ELF program nor a script. Name the program that runs it, and give it as the "
                    "argument.",
                    script));
  }
  require_interpreter(line->interpreter, script);
  return base_name(line->interpreter) == "env" ? env_target(script, line->argument) : line->interpreter;
}

std::string follow_scripts(const std::string& command) {
  std::string file = command;
  for (int depth = 0; depth <= kMaxScripts; ++depth) {
    const std::string head = read_head(file);
    if (head.starts_with(ELFMAG)) return file;
    file = interpreter_of(file, head);
  }
  refuse(fmt::format("{} leads from #! line to #! line, more than {} of them. Let it name a program.", command,
                     kMaxScripts));
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
