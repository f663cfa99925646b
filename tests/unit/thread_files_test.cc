// SPDX-License-Identifier: Apache-2.0
//
// Words: what the kernel writes of threads, and what becomes of it for people.
#include "cli/process/thread_files.h"

#include <sys/syscall.h>

#include <string>

#include "cli/process/system_call_names.h"
#include "cli/process/trace_permission.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("a refusal names its reason and what would help", "[threads]") {
  struct Case {
    TraceFacts facts;
    std::string reason;
    std::string help;
  };
  const Case cases[] = {
      {{.pid = 7, .tracer = 9}, "process 9 traces it already", "end that one first"},
      {{.pid = 7, .has_trace_capability = true, .yama_scope = 3}, "ptrace_scope is 3", "until the machine boots"},
      {{.pid = 7, .own_user = 1, .user = 2}, "belongs to user 2 and leakwatch runs as user 1", "as that user"},
      {{.pid = 7, .own_user = 1, .user = 1, .yama_scope = 2}, "ptrace_scope is 2", "CAP_SYS_PTRACE"},
      {{.pid = 7, .own_user = 1, .user = 1, .yama_scope = 1}, "ptrace_scope is 1", "leakwatch run"},
      {{.pid = 7, .has_trace_capability = true, .is_filtered = true}, "seccomp", "--cap-add=SYS_PTRACE"},
      {{.pid = 7, .own_user = 1, .user = 1}, "not dumpable", "CAP_SYS_PTRACE"},
      {{.pid = 7, .has_trace_capability = true}, "security module", "audit log"},
  };
  for (const Case& example : cases) {
    const std::string text = explain_refusal(example.facts);
    INFO(text);
    CHECK(text.starts_with("process 7 cannot be looked into: "));
    CHECK(text.find(example.reason) != std::string::npos);
    CHECK(text.find(example.help) != std::string::npos);
  }
}

TEST_CASE("what the kernel writes of a thread is read, and nothing else", "[threads]") {
  CHECK(parse_place("running\n").kind == ThreadPlace::Kind::kRunning);
  const ThreadPlace blocked = parse_place("-1 0x7ffc10 0x401000\n");
  CHECK(blocked.kind == ThreadPlace::Kind::kBlocked);
  CHECK(blocked.stack_pointer == 0x7ffc10);
  const ThreadPlace call = parse_place("232 0x5 0x1 0x2 0x3 0x4 0xffffffffffffffff 0x7ffc10 0x401000\n");
  CHECK(call.kind == ThreadPlace::Kind::kInCall);
  CHECK(call.call == 232);
  CHECK(call.arguments[5] == ~std::uint64_t{0});
  CHECK(call.pc == 0x401000);
  for (const char* text : {"", "x", "232", "232 0x5 0x1", "-1 0x1", "-1 0x1 zz", "232 1 2 3 4 5 6 7"}) {
    INFO(text);
    CHECK(parse_place(text).kind == ThreadPlace::Kind::kGone);
  }
  CHECK(parse_schedstat("12 3 4\n") == RunCount{{12, 4}});
  CHECK_FALSE(parse_schedstat("0 0 0\n"));
  CHECK_FALSE(parse_schedstat(""));
  CHECK(parse_switches("Name:\tx\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n") == RunCount{{5, 6}});
  CHECK_FALSE(parse_switches("Name:\tx\nnonvoluntary_ctxt_switches:\t6\n"));
}

TEST_CASE("system calls and wait channels have words", "[threads]") {
  CHECK(describe_system_call(SYS_futex).words == "futex wait");
  CHECK(describe_system_call(SYS_accept4).has_descriptor);
  CHECK(describe_system_call(SYS_restart_syscall).is_a_restart);
  CHECK(describe_system_call(100'000).words.empty());
  CHECK(describe_wait_channel("futex_do_wait") == "futex wait");
  CHECK(describe_wait_channel("poll_schedule_timeout.constprop.0") == "poll");
  CHECK(describe_wait_channel("pipe_read").empty());
}

}  // namespace
}  // namespace leakwatch
