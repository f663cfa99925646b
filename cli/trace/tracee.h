// SPDX-License-Identifier: Apache-2.0
//
// What every use of ptrace here begins with, on a thread that was seized and interrupted. How registers are read and
// set, and how a system call that the stop broke is repaired, is written for each machine: tracee_x86_64.cc,
// tracee_aarch64.cc.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cli/trace/machine.h"
#include "symbolize/machine_registers.h"

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

// What must be known of a thread from before it is stopped, to be asked for when it is traced already: from then on no
// handler of a signal begins unseen.
machine::BeforeStop look_before_stop(pid_t tid);

// Of a stopped thread. A system call that would come back with EINTR because of the stop is changed to be made again as
// the others are, and a signal that has a handler ends it with EINTR, as it must. Nothing when the thread is gone.
//
// On x86-64 the kernel still decides, as the call is only changed to ask for that; the change is not in what is
// returned. On ARM the kernel has decided before the stop is seen: the thread is set to make the call once more, which
// is in what is returned, unless such a signal waits already. One that comes after that runs its handler before the
// call, as if it had come just before it; where the call is one that opens the mask for such a signal it is ended by
// it.
//
// `delivered`: the signal that the stop is about and that the thread will be given, 0 for none.
std::optional<machine::Registers> read_registers_and_repair_call(pid_t tid, const machine::BeforeStop& before,
                                                                 int delivered);

MachineRegisters machine_registers(const machine::Registers& registers);

// All that the thread is, of which the registers are known. Nothing when it is gone.
std::optional<machine::ThreadContext> read_context(pid_t tid, const machine::Registers& registers);

bool set_registers(pid_t tid, const machine::Registers& registers);
bool set_floating(pid_t tid, const machine::CallImage& image);

// The mask that the thread has outside of its system call. Setting it ends another one that the call has for itself.
std::optional<std::uint64_t> read_signal_mask(pid_t tid);
void set_signal_mask(pid_t tid, std::uint64_t mask);

// Whether a signal waits for the thread, or is `delivered` to it, that will have a handler run. It ends many system
// calls, and that is decided before the call is made again.
bool has_caught_signal(pid_t tid, int delivered);

// A set of registers by its number (elf.h, NT_): how many bytes of it could be read, and whether it could be set.
std::size_t read_register_set(pid_t tid, long kind, void* into, std::size_t size);
bool set_register_set(pid_t tid, long kind, const void* from, std::size_t size);

// As ptrace takes one.
void* ptrace_number(long value);

}  // namespace leakwatch
