// SPDX-License-Identifier: Apache-2.0
//
// See the header. The kernel says EPERM for everything, so the reason is found as the kernel finds it: from the hardest
// obstacle to the softest.

#include "cli/process/trace_permission.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <fstream>

#include "cli/process/status_file.h"

namespace leakwatch {

namespace {

int read_yama_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  return file >> scope ? scope : 0;
}

}  // namespace

TraceFacts read_trace_facts(pid_t pid, pid_t tid) {
  const StatusFile theirs = StatusFile::of_thread(pid, tid), ours = StatusFile::of_process(getpid());
  TraceFacts facts;
  facts.pid = pid;
  facts.own_user = geteuid();
  facts.user = static_cast<std::uint32_t>(theirs.number("Uid"));
  facts.has_trace_capability = (ours.number("CapEff", 16) >> CAP_SYS_PTRACE & 1U) != 0;
  facts.yama_scope = read_yama_scope();
  facts.tracer = static_cast<pid_t>(theirs.number("TracerPid"));
  facts.is_filtered = ours.number("Seccomp") == 2;
  return facts;
}

std::string explain_refusal(const TraceFacts& facts) {
  const std::string what = fmt::format("process {} cannot be looked into: ", facts.pid);
  if (facts.tracer != 0) {
    return fmt::format("{}process {} traces it already, and a thread has one tracer; end that one first", what,
                       facts.tracer);
  }
  if (facts.yama_scope >= 3) {
    return fmt::format(
        "{}kernel.yama.ptrace_scope is {}, which forbids it to everyone until the machine boots with a lower value",
        what, facts.yama_scope);
  }
  if (!facts.has_trace_capability && facts.user != facts.own_user) {
    return fmt::format(
        "{}it belongs to user {} and leakwatch runs as user {}; run leakwatch as that user or with "
        "CAP_SYS_PTRACE",
        what, facts.user, facts.own_user);
  }
  if (!facts.has_trace_capability && facts.yama_scope == 2) {
    return what + "kernel.yama.ptrace_scope is 2; run leakwatch with CAP_SYS_PTRACE, or set it to 1 or 0 with sysctl";
  }
  if (!facts.has_trace_capability && facts.yama_scope == 1) {
    return what +
           "kernel.yama.ptrace_scope is 1, so only an ancestor may; start the program with leakwatch run, run "
           "leakwatch with CAP_SYS_PTRACE, or set it to 0 with sysctl";
  }
  if (facts.is_filtered) {
    return what +
           "a seccomp filter around leakwatch denies ptrace or process_vm_readv; allow them in the container's profile "
           "(docker: --cap-add=SYS_PTRACE)";
  }
  if (!facts.has_trace_capability) {
    return what +
           "it has privileges that leakwatch lacks, or has made itself not dumpable; run leakwatch with CAP_SYS_PTRACE";
  }
  return what + "the kernel or a security module denies it to leakwatch; its audit log names the rule";
}

}  // namespace leakwatch
