// SPDX-License-Identifier: Apache-2.0
//
// The machine that leakwatch was built for, as stopping a thread and calling in it must know it: the one place that
// chooses. Each machine has the same names in a namespace of its own, and code that is the same for all says machine::.
//
//   Registers, pc_of, stack_pointer_of, kRedZone       the general registers, as the kernel hands them to a tracer
//   BeforeStop                                         what only shows before a thread is stopped
//   ThreadContext, objection_to_state                  all that a stopped thread is, and what of it a call would lose
//   CallCode, kCodeBeforePc                            the code around the pc, which tells of a system call
//   call_in_progress, has_call_taken_up,
//   find_call_number, find_resumption                  the system call that a stop broke, and how it is made again
//   CallImage, CallImageBuilder                        what makes the thread call functions and become itself again
//   kSignalReturnIsInVdso, find_signal_return,
//   find_errno_offset_slot                             what of the process's libc that takes
//
// tracee.h has the rest, which touches the thread; symbolize/machine_registers.h how DWARF numbers the registers.
#pragma once

#if defined(__x86_64__)
#include "cli/trace/remote_call_x86_64.h"
namespace leakwatch {
namespace machine = x86_64;
}
#elif defined(__aarch64__)
#include "cli/trace/remote_call_aarch64.h"
namespace leakwatch {
namespace machine = aarch64;
}
#else
#error "leakwatch runs on x86-64 and aarch64"
#endif
