// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/trace/call_safety.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "cli/trace/machine.h"
#include "cli/trace/system_call_restart.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

constexpr std::size_t kRoomForCall = std::size_t{64} << 10U;  // the loader needs less than a quarter of it

constexpr std::array<std::string_view, 22> kAllocatorFunctions = {"malloc",
                                                                  "free",
                                                                  "calloc",
                                                                  "realloc",
                                                                  "reallocarray",
                                                                  "memalign",
                                                                  "aligned_alloc",
                                                                  "valloc",
                                                                  "pvalloc",
                                                                  "posix_memalign",
                                                                  "malloc_usable_size",
                                                                  "malloc_trim",
                                                                  "malloc_info",
                                                                  "malloc_stats",
                                                                  "mallopt",
                                                                  "mallinfo",
                                                                  "mallinfo2",
                                                                  "cfree",
                                                                  "__libc_memalign",
                                                                  "free_sized",
                                                                  "free_aligned_sized",
                                                                  "__libc_freeres"};

// They hold locks of the loader, of the allocator, of the list of stacks or of the list of exit handlers, or the
// process ends in them. The loader's own code is elsewhere; these lead into it.
constexpr std::array<std::string_view, 41> kAlwaysDangerous = {"dlopen",
                                                               "dlmopen",
                                                               "dlclose",
                                                               "dlsym",
                                                               "dlvsym",
                                                               "dladdr",
                                                               "dladdr1",
                                                               "dlinfo",
                                                               "dlerror",
                                                               "dl_iterate_phdr",
                                                               "fork",
                                                               "_Fork",
                                                               "vfork",
                                                               "daemon",
                                                               "forkpty",
                                                               "exit",
                                                               "quick_exit",
                                                               "abort",
                                                               "__cxa_atexit",
                                                               "on_exit",
                                                               "__cxa_finalize",
                                                               "__cxa_at_quick_exit",
                                                               "__cxa_thread_atexit_impl",
                                                               "pthread_create",
                                                               "pthread_exit",
                                                               "pthread_atfork",
                                                               "__register_atfork",
                                                               "setuid",
                                                               "setgid",
                                                               "seteuid",
                                                               "setegid",
                                                               "setreuid",
                                                               "setregid",
                                                               "setresuid",
                                                               "setresgid",
                                                               "setgroups",
                                                               "initgroups",
                                                               "setlocale",
                                                               "bindtextdomain",
                                                               "textdomain",
                                                               "dcgettext"};

// These take such locks before or after they sleep, and sleep without.
constexpr std::array<std::string_view, 9> kDangerousUnlessAsleep = {
    "pthread_join",   "pthread_timedjoin_np", "pthread_clockjoin_np", "pthread_tryjoin_np",
    "pthread_detach", "posix_spawn",          "posix_spawnp",         "system",
    "popen"};

bool is_one_of(const auto& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string read_text(pid_t pid, std::uint64_t address, std::size_t size) {
  std::string text(size, '\0');
  text.resize(read_process_memory(pid, address, text.data(), size));
  return text;
}

std::optional<std::uint64_t> read_number(pid_t pid, std::uint64_t address) {
  std::uint64_t value = 0;
  if (read_process_memory(pid, address, &value, sizeof value) != sizeof value) return std::nullopt;
  return value;
}

std::vector<MemoryMapping> vdso_of(const std::vector<MemoryMapping>& mappings) {
  std::vector<MemoryMapping> found;
  std::copy_if(mappings.begin(), mappings.end(), std::back_inserter(found),
               [](const MemoryMapping& mapping) { return mapping.name == "[vdso]"; });
  return found;
}

std::uint64_t signal_return_of(pid_t pid, const std::vector<MemoryMapping>& mappings) {
  for (const MemoryMapping& code : mappings) {
    const auto offset = machine::find_signal_return(read_text(pid, code.start, code.limit - code.start));
    if (offset) return code.start + *offset;
  }
  return 0;
}

std::optional<std::uint64_t> errno_offset_of(pid_t pid, const LoadedModule& libc) {
  constexpr std::size_t kCodeSize = 24;
  const LoadedSymbol* function = libc.exports.find("__errno_location");
  if (function == nullptr) return std::nullopt;
  const auto slot = machine::find_errno_offset_slot(read_text(pid, function->address, kCodeSize), function->address);
  return slot ? read_number(pid, *slot) : std::nullopt;
}

std::uint64_t address_of(const LoadedModule& libc, std::string_view name) {
  const LoadedSymbol* symbol = libc.exports.find(name);
  return symbol == nullptr || !symbol->is_function ? 0 : symbol->address;
}

// What is mapped below the main thread's stack grows on demand, up to this limit.
std::uint64_t stack_limit(pid_t pid) {
  rlimit limit{};
  return prlimit(pid, RLIMIT_STACK, nullptr, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

bool CallSafety::refresh() {
  if (!modules_.refresh()) return false;
  const LoadedModule* libc = modules_.with_role(ModuleRole::kLibc);
  const std::uint64_t start = libc == nullptr ? 0 : libc->start;
  if (start == libc_start_) return true;
  libc_start_ = start;
  libc_.reset();
  dangers_.clear();
  if (libc != nullptr) read_libc(*libc);
  return true;
}

void CallSafety::read_libc(const LoadedModule& libc) {
  std::vector<const LoadedSymbol*> functions;
  for (const LoadedSymbol& symbol : libc.exports.symbols) {
    if (!symbol.is_function) continue;
    functions.push_back(&symbol);
    const bool is_dangerous_asleep = is_one_of(kAlwaysDangerous, symbol.name);
    if (is_dangerous_asleep || is_one_of(kDangerousUnlessAsleep, symbol.name)) {
      dangers_.push_back({symbol.address, symbol.address + symbol.size,
                          is_dangerous_asleep ? Danger::kAlways : Danger::kUnlessAsleep});
    }
  }
  add_allocator(functions);
  const auto errno_offset = errno_offset_of(pid_, libc);
  const std::uint64_t signal_return =
      signal_return_of(pid_, machine::kSignalReturnIsInVdso ? vdso_of(modules_.mappings()) : libc.code);
  const LibcPlaces places{signal_return, address_of(libc, "sigprocmask"), address_of(libc, "swab"),
                          errno_offset.value_or(0)};
  if (places.signal_return != 0 && places.sigprocmask != 0 && places.swab != 0 && errno_offset) libc_ = places;
}

// The allocator's inner functions have no names here, but they come from one source and stand around those that have:
// everything between the neighbours on both sides is taken for its.
void CallSafety::add_allocator(const std::vector<const LoadedSymbol*>& functions) {
  for (std::size_t index = 0; index < functions.size(); ++index) {
    if (!is_one_of(kAllocatorFunctions, functions[index]->name)) continue;
    const std::uint64_t address = functions[index]->address;
    Range range{address, address + functions[index]->size, Danger::kAlways};
    // Aliases have the same address.
    std::size_t before = index, after = index;
    while (before > 0 && functions[before]->address == address) --before;
    while (after + 1 < functions.size() && functions[after]->address == address) ++after;
    if (functions[before]->address < address) range.start = functions[before]->address + functions[before]->size;
    if (functions[after]->address > address) range.limit = functions[after]->address;
    dangers_.push_back(range);
  }
}

bool CallSafety::is_dangerous(std::uint64_t address, bool is_asleep) const {
  return std::any_of(dangers_.begin(), dangers_.end(), [&](const Range& range) {
    return address >= range.start && address < range.limit && (range.danger == Danger::kAlways || !is_asleep);
  });
}

std::string_view CallSafety::objection_to_frame(const UnwoundFrame& frame, bool is_asleep) const {
  // The unwind information of the return from a signal handler begins one byte early, for the address before it.
  if (libc_ && frame.address + 1 >= libc_->signal_return && frame.address < libc_->signal_return + 16) {
    return "is in a signal handler";
  }
  const LoadedModule* module = modules_.at(frame.address);
  switch (module == nullptr ? ModuleRole::kOther : module->role) {
    case ModuleRole::kLoader:
      return "is in the dynamic loader";
    case ModuleRole::kOwn:
      return "is in leakwatch's object";
    case ModuleRole::kAllocator:
      return "is in the allocator";
    case ModuleRole::kLibc:
      return is_dangerous(frame.address, is_asleep) ? "is in a function of libc that must not be interrupted" : "";
    default:
      return "";
  }
}

std::string_view CallSafety::objection(const UnwoundStack& stack, std::int64_t call) const {
  const bool is_asleep = call >= 0;
  const bool is_known_wait = is_asleep && waits_for_events(call);
  bool has_own_code = false;
  for (const UnwoundFrame& frame : stack.frames) {
    const std::string_view objection = objection_to_frame(frame, is_asleep);
    if (!objection.empty()) return objection;
    const LoadedModule* module = modules_.at(frame.address);
    has_own_code = has_own_code || module == nullptr || module->role != ModuleRole::kLibc;
  }
  if (is_known_wait) return "";
  // An allocator that is a part of the program has no borders that could be seen from outside.
  if (modules_.program_has_allocator()) return "may be in the program's own allocator";
  if (stack.end != UnwindEnd::kOutermost) return "has a stack that cannot be followed to its beginning";
  return has_own_code ? "" : "is just beginning or ending";
}

// The main thread has the stack that the kernel made. Of any other thread glibc keeps the data at the top of the stack
// that it was made with, and a guard below. On a third kind, a coroutine's or one for signals, the mapping does not
// tell how much is left.
std::string_view CallSafety::objection_to_stack(pid_t tid, std::uint64_t stack_pointer, std::uint64_t thread_pointer,
                                                std::size_t size) const {
  const MemoryMapping* mapping = find_mapping(modules_.mappings(), stack_pointer);
  if (mapping == nullptr || !mapping->writable) return "is on a stack that is not mapped";
  const std::uint64_t room = stack_pointer - mapping->start;
  if (tid == pid_) {
    if (mapping->name != "[stack]") return "is on a stack of the program's making";
    const std::uint64_t used = mapping->limit - stack_pointer;
    const bool may_grow = used + size + kRoomForCall < stack_limit(pid_);
    return room >= size + (may_grow ? 0 : kRoomForCall) ? "" : "has too little stack left";
  }
  const bool is_own_stack =
      thread_pointer > stack_pointer && thread_pointer >= mapping->start && thread_pointer < mapping->limit;
  if (!is_own_stack) return "is on a stack of the program's making";
  return room >= size + kRoomForCall ? "" : "has too little stack left";
}

bool CallSafety::is_in_sequence(std::uint64_t area, std::uint64_t pc) const {
  // struct rseq and struct rseq_cs (linux/rseq.h).
  constexpr std::uint64_t kCurrentAt = 8, kStartAt = 8, kSizeAt = 16;
  const std::uint64_t current = area == 0 ? 0 : read_number(pid_, area + kCurrentAt).value_or(0);
  if (current == 0) return false;
  const auto start = read_number(pid_, current + kStartAt), size = read_number(pid_, current + kSizeAt);
  return !start || !size || pc - *start < *size;
}

}  // namespace leakwatch
