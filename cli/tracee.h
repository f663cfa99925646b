// SPDX-License-Identifier: Apache-2.0
//
// What every use of ptrace here begins with, on a thread that was seized and interrupted.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <optional>

namespace leakwatch {

struct TraceeLook {
  enum class State : std::uint8_t { kRuns, kStopped, kGone };
  State state = State::kGone;
  // Of a stop. One of our making says SIGTRAP, that of a process which is stopped as a whole says by which signal it
  // was. Any other is about a signal on its way, which is to be delivered.
  int signal = 0;
  bool is_delivery = false;
};

// Looks without taking: the status of a process that ends belongs to whoever started it, and may be us.
TraceeLook look_at_tracee(pid_t tid);

// Whether any of those that the calling thread traces does not run: one system call instead of one for each.
bool has_news_of_tracees();

// Of a stopped thread. A system call that would come back with EINTR because of the stop is changed, in the thread and
// not in what is returned, to be made again as the others are: the kernel still decides, and a signal that has a
// handler ends it with EINTR, as it must. Nothing when the thread is gone.
std::optional<user_regs_struct> read_registers_and_repair_call(pid_t tid);

// As ptrace takes one.
void* ptrace_number(long value);

}  // namespace leakwatch
