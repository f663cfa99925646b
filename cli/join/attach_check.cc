// SPDX-License-Identifier: Apache-2.0
//
// See the header. From the outside inwards: is there such a process, may we, what is the program, what has it loaded,
// what does it forbid itself, is another leakwatch there.

#include "cli/join/attach_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>

#include "cli/base/descriptor.h"
#include "cli/base/refusal.h"
#include "cli/join/program_check.h"
#include "cli/process/loaded_modules.h"
#include "cli/process/process.h"
#include "cli/process/status_file.h"
#include "cli/process/thread_files.h"
#include "cli/process/trace_permission.h"
#include "cli/trace/call_safety.h"
#include "cli/trace/stopped_thread.h"
#include "symbolize/process_unwinder.h"

namespace leakwatch {

namespace {

constexpr auto kPatienceToStop = std::chrono::seconds(1);
constexpr std::uint64_t kStrictMode = 1, kFilterMode = 2;  // what the kernel writes behind "Seccomp:"

std::string link_target(const std::string& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error).string();
}

void refuse_absent(pid_t pid, const StatusFile& status) {
  if (status.is_empty()) {
    refuse(fmt::format("There is no process {} here. A process in a container has another number outside of it: take "
                       "the one that ps shows where leakwatch runs.",
                       pid),
           kNotFound);
  }
  const char state = status.text("State").value_or("X").front();
  if (state == 'Z' || state == 'X') refuse(fmt::format("Process {} has ended.", pid), kNotFound);
  const auto leader = static_cast<pid_t>(status.number("Tgid"));
  if (leader != pid) refuse(fmt::format("{} is a thread of process {}. Name the process.", pid, leader));
  if (pid == getpid()) refuse("leakwatch cannot watch itself. Name another process.");
  if (!status.text("VmSize"))
    refuse(fmt::format("Process {} is a part of the kernel and has no memory of its own.", pid));
  if (state == 'T') {
    refuse(fmt::format(
        "Process {} is stopped, so none of its threads can let leakwatch in. Continue it with kill -CONT {}.", pid,
        pid));
  }
}

// The kernel asks the same for this file as for ptrace; opening it does nothing to the process.
bool may_open_memory(pid_t pid) {
  return Descriptor(open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC)).is_open();
}

// Of a thread that is not traced by us the kernel says just that. A filter around us says something else.
bool may_use_ptrace(pid_t pid) {
  errno = 0;
  ptrace(PTRACE_PEEKUSER, pid, nullptr, nullptr);
  return errno == ESRCH;
}

void refuse_forbidden(pid_t pid) {
  for (const pid_t tid : list_threads(pid)) {
    const TraceFacts facts = read_trace_facts(pid, tid);
    if (facts.tracer != 0) refuse(explain_refusal(facts));
  }
  if (may_open_memory(pid) && may_use_ptrace(pid)) return;
  refuse(explain_refusal(read_trace_facts(pid, pid)));
}

// glibc's way back from a signal handler stands on no shadow stack when nobody was called.
void refuse_shadow_stack(pid_t pid, const std::string& subject) {
  const StatusFile status = StatusFile::of_process(pid);
  if (status.text("x86_Thread_features").value_or("").find("shstk") == std::string_view::npos) return;
  refuse(
      fmt::format("{} runs with a shadow stack, which does not let a thread be called from outside. Start it with "
                  "leakwatch run, or with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off.",
                  subject));
}

std::optional<std::vector<SeccompFilter>> read_filters(pid_t tid) {
  return std::async(std::launch::async,
                    [tid]() -> std::optional<std::vector<SeccompFilter>> {
                      const StoppedThread thread(tid, kPatienceToStop, {});
                      if (thread.state() == StoppedThread::State::kGone) return std::vector<SeccompFilter>();
                      return thread.state() == StoppedThread::State::kStopped ? thread.seccomp_filters() : std::nullopt;
                    })
      .get();
}

void refuse_filtered_thread(const std::string& subject, pid_t tid, JoiningCalls calls) {
  const auto filters = read_filters(tid);
  if (!filters) {
    refuse(
        fmt::format("{} has a seccomp filter of its own, which could end it when leakwatch joins, and which leakwatch "
                    "may not read. Run leakwatch as root outside of containers (CAP_SYS_ADMIN), or start the program "
                    "with leakwatch run.",
                    subject));
  }
  const auto forbidden = find_forbidden_call(*filters, calls);
  if (!forbidden) return;
  const std::string_view death = forbidden->is_fatal ? " on pain of death" : "";
  if (forbidden->is_of_recording) {
    refuse(fmt::format("{} has a seccomp filter that forbids {}{}, which watching it needs. Permit that.", subject,
                       forbidden->name, death));
  }
  refuse(
      fmt::format("{} has a seccomp filter that forbids {}{}, which joining it needs. Permit that, or start the "
                  "program with leakwatch run, which asks for it before the filter is there.",
                  subject, forbidden->name, death));
}

std::vector<std::string> library_paths(const LoadedModules& modules) {
  std::vector<std::string> paths;
  for (const LoadedModule* module : modules.all()) {
    if (module->role != ModuleRole::kProgram) paths.push_back(module->path);
  }
  return paths;
}

bool has_own_operators(const LoadedModules& modules) {
  const std::vector<const LoadedModule*> all = modules.all();
  return std::any_of(all.begin(), all.end(), [](const LoadedModule* module) {
    return module->role == ModuleRole::kAllocator && module->exports.find("_Znwm") != nullptr;
  });
}

void refuse_unknown_libc(const CallSafety& safety, const std::string& subject) {
  const LoadedModules& modules = safety.modules();
  for (const LoadedModule* module : modules.all()) {
    if (!module->exports.soname.starts_with("libc.musl") && module->path.find("ld-musl") == std::string::npos) continue;
    refuse(
        fmt::format("{} uses musl, and leakwatch glibc: one process cannot hold both. Build it on a distribution with "
                    "glibc.",
                    subject));
  }
  if (modules.with_role(ModuleRole::kLibc) == nullptr) {
    refuse(fmt::format("{} has no glibc loaded. If it has only just begun, try again.", subject));
  }
  if (!safety.libc()) {
    refuse(
        fmt::format("{} has a glibc that leakwatch does not know: its code is unlike that of any release. Start the "
                    "program with leakwatch run.",
                    subject));
  }
  if (modules.program_has_allocator()) {
    refuse(
        fmt::format("{} has an allocator linked in, and its own calls of that cannot be reached while it runs. Start "
                    "it with leakwatch run.",
                    subject));
  }
}

std::vector<std::string> inspect_program(pid_t pid, const std::string& subject, const LoadedModules& modules) {
  const std::string link = fmt::format("/proc/{}/exe", pid);  // right also when the file was replaced
  const MappedFile file(link);
  if (file.error() != 0) refuse(fmt::format("{} cannot be read: {}.", subject, std::strerror(file.error())));
  const ElfFile elf(file.bytes());
  if (!elf.is_elf()) refuse(fmt::format("{} is no ELF program.", subject));
  const Program program{link, subject, elf};
  refuse_other_kind(program);
  refuse_musl(program);
  refuse_sanitizer_libraries(program, library_paths(modules));
  return inspect_allocators(program);
}

std::optional<LoadedObject> find_object(pid_t pid, const LoadedModules& modules) {
  const LoadedModule* own = modules.with_role(ModuleRole::kOwn);
  if (own == nullptr) return std::nullopt;
  LoadedObject object{own->path, own->start, {}, own->exports.find("_Znwm") != nullptr};
  ProcessUnwinder unwinder(pid);
  unwinder.refresh();
  for (const Module& module : unwinder.modules()) {
    if (module.bias == own->exports.bias) object.build_id = module.build_id;
  }
  return object;
}

// A session's memory is mapped on both sides.
pid_t find_watcher(pid_t pid, const LoadedModules& modules) {
  const auto session = std::find_if(modules.mappings().begin(), modules.mappings().end(),
                                    [](const auto& mapping) { return mapping.name.starts_with("/memfd:leakwatch"); });
  if (session == modules.mappings().end()) return 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (std::isdigit(static_cast<unsigned char>(name.front())) == 0 || std::stoi(name) == pid ||
        std::stoi(name) == getpid())
      continue;
    if (!std::filesystem::path(link_target(entry.path() / "exe")).filename().string().starts_with("leakwatch"))
      continue;
    const std::vector<MemoryMapping> mappings = parse_maps(read_maps_text(std::stoi(name)));
    const bool is_watcher = std::any_of(mappings.begin(), mappings.end(),
                                        [&](const MemoryMapping& mapping) { return mapping.is_same_file(*session); });
    if (is_watcher) return std::stoi(name);
  }
  return 0;
}

void refuse_watched(pid_t pid, const LoadedModules& modules, const std::string& subject) {
  const pid_t watcher = find_watcher(pid, modules);
  if (watcher == 0) return;
  refuse(
      fmt::format("{} is watched already, by the leakwatch with process id {}. End that one first.", subject, watcher));
}

}  // namespace

// Filters that are around us too are a container's, and we do ourselves what they let through. A kernel that does not
// count them (before Linux 5.9) leaves us to read them.
void refuse_filtered(pid_t pid, const std::string& subject, JoiningCalls calls) {
  const std::uint64_t around_us = StatusFile::of_process(getpid()).number("Seccomp_filters");
  for (const pid_t tid : list_threads(pid)) {
    const StatusFile status = StatusFile::of_thread(pid, tid);
    const std::uint64_t mode = status.number("Seccomp");
    if (mode == kStrictMode) {
      refuse(
          fmt::format("{} has a thread in seccomp's strict mode, in which it may only read and write. Start it with "
                      "leakwatch run.",
                      subject));
    }
    const bool is_ours = status.text("Seccomp_filters") && status.number("Seccomp_filters") <= around_us;
    if (mode == kFilterMode && !is_ours) refuse_filtered_thread(subject, tid, calls);
  }
}

AttachFacts inspect_process(pid_t pid) {
  const StatusFile status = StatusFile::of_process(pid);
  refuse_absent(pid, status);
  refuse_forbidden(pid);
  AttachFacts facts;
  facts.pid = pid;
  facts.executable = main_executable(pid).path;
  facts.root = foreign_root(pid);
  facts.user = status.file_identity("Uid");
  facts.group = status.file_identity("Gid");
  const std::string subject = fmt::format("Process {} ({})", pid, facts.executable);
  CallSafety safety(pid);
  if (!safety.refresh()) refuse(explain_refusal(read_trace_facts(pid, pid)));
  facts.warnings = inspect_program(pid, subject, safety.modules());
  refuse_unknown_libc(safety, subject);
  refuse_watched(pid, safety.modules(), subject);
  refuse_shadow_stack(pid, subject);
  refuse_filtered(pid, subject, JoiningCalls::kOfAll);
  facts.own_operators = has_own_operators(safety.modules());
  facts.object = find_object(pid, safety.modules());
  return facts;
}

AttachFacts inspect_sleeping_process(pid_t pid) {
  const StatusFile status = StatusFile::of_process(pid);
  refuse_absent(pid, status);
  AttachFacts facts;
  facts.pid = pid;
  facts.executable = main_executable(pid).path;
  if (facts.executable.empty()) facts.executable = status.text("Name").value_or("process");
  facts.root = foreign_root(pid);
  facts.user = status.file_identity("Uid");
  facts.group = status.file_identity("Gid");
  const std::string subject = fmt::format("Process {} ({})", pid, facts.executable);
  LoadedModules modules(pid);
  if (modules.refresh()) {
    facts.warnings = inspect_program(pid, subject, modules);
    refuse_watched(pid, modules, subject);
  }
  refuse_filtered(pid, subject, JoiningCalls::kOfAll);
  return facts;
}

}  // namespace leakwatch
