// SPDX-License-Identifier: Apache-2.0
//
// Why the kernel does not let us look into a process, and what would let us.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace leakwatch {

// All that the kernel's decision hangs on.
struct TraceFacts {
  pid_t pid = 0;
  std::uint32_t own_user = 0;
  std::uint32_t user = 0;
  bool has_trace_capability = false;  // CAP_SYS_PTRACE
  int yama_scope = 0;                 // kernel.yama.ptrace_scope, 0 also where there is no Yama
  pid_t tracer = 0;                   // who traces it already
  bool is_filtered = false;           // seccomp watches our own system calls
};

TraceFacts read_trace_facts(pid_t pid, pid_t tid);

// One sentence for people: the likeliest reason, and what would permit it.
std::string explain_refusal(const TraceFacts& facts);

}  // namespace leakwatch
