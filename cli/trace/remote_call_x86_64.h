// SPDX-License-Identifier: Apache-2.0
//
// What stopping a thread and the remote call know of the machine: x86-64 under Linux. Bytes and registers in, bytes and
// registers out; nothing here touches a process. machine.h says what is here for each machine.
//
// A stopped thread is made to call functions and to become itself again without anybody's help: its state is written
// below its stack as the kernel writes it for a signal handler, and the last function returns into libc's own return
// from a signal handler, which asks the kernel to restore all of it (rt_sigreturn). Each function but the first is
// entered by such a return too:
//
//   old stack pointer ▶ red zone (128 bytes that a leaf function may use)
//                       marker, strings
//                       floating-point state            as XSAVE has it, 64-byte aligned
//                       frame of the thread itself      ◀ the last function returns here: rt_sigreturn
//                       frame of the last function      ◀ the one before it returns here
//                       …
//   new stack pointer ▶ return address of the first one
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cli/trace/stack_image.h"
#include "cli/trace/system_call_restart.h"

namespace leakwatch::x86_64 {

using Registers = user_regs_struct;
inline std::uint64_t pc_of(const Registers& registers) {
  return registers.rip;
}
inline std::uint64_t stack_pointer_of(const Registers& registers) {
  return registers.rsp;
}

inline constexpr std::uint64_t kRedZone = 128;  // a leaf function may use these bytes below its stack pointer

// Nothing: the registers of a stopped thread tell all of its system call.
struct BeforeStop {};

// All that a thread is while it is stopped.
struct ThreadContext {
  Registers registers{};
  std::vector<char> extended;  // floating-point and vector registers: the regset NT_X86_XSTATE
  std::uint64_t signal_mask = 0;
  std::uint64_t thread_pointer = 0;
};

// Frames have all registers that there are.
inline std::string_view objection_to_state(const ThreadContext& /*thread*/, bool /*is_in_call*/) {
  return "";
}

// Whether a stop broke a system call, of which nobody has seen the result yet.
bool has_broken_call(const Registers& registers);
// The same for a call that the kernel would let end with EINTR; and what to make of it, so that the kernel makes it
// again unless a handler runs.
bool would_see_interruption(const Registers& registers);
inline constexpr std::int64_t kRestartWithoutHandler = -514;

// "mov $number, %eax; syscall", which stands before the pc.
inline constexpr std::size_t kCallCodeSize = 7;
inline constexpr std::size_t kCodeBeforePc = kCallCodeSize;
using CallCode = std::array<unsigned char, kCallCodeSize>;

// The number of the call that a stop broke; -1 when it broke none.
std::int64_t call_in_progress(const Registers& registers, const CallCode& code);

// How a thread goes on that is not resumed by the kernel but by itself: a broken call is made again.
struct Resumption {
  Registers registers{};
  RestartEffect effect = RestartEffect::kNone;
};
// `number`: of a call that the kernel has taken up before, -1 when that is not known. Nothing when the call cannot be
// made again.
std::optional<Resumption> find_resumption(const Registers& registers, const CallCode& code, std::int64_t number = -1);

// Since glibc 2.41 (sysdeps/unix/sysv/linux/x86_64/syscall_cancel.S, nptl/cancellation.c) a call that is a cancellation
// point is made by a function that has the number as its seventh argument, or by one that this function calls.
bool has_call_taken_up(const Registers& registers, const CallCode& code);
CallNumberPlace find_call_number(const CallCode& code);

// What is to be written, in this order: a thread that is let go after any of the steps is well.
struct CallImage {
  std::uint64_t address = 0;
  std::vector<char> bytes;
  Registers registers{};
  std::uint64_t signal_mask = 0;
  user_fpregs_struct floating{};
};

class CallImageBuilder {
 public:
  // `signal_return`: libc's return from a signal handler.
  CallImageBuilder(const ThreadContext& thread, const Registers& resumption, std::uint64_t signal_return);

  // Data for the functions; the address at which they find it.
  std::uint64_t add(std::string_view bytes) { return image_.add(bytes, 8); }
  std::uint64_t add_text(std::string_view text);  // with a zero at its end

  // `calls` are made one after the other with `mask` as the signal mask, then the thread goes on.
  CallImage build(std::span<const Invocation> calls, std::uint64_t mask);

 private:
  std::uint64_t add_extended_state();
  std::uint64_t add_frame(const Registers& registers, std::uint64_t mask, std::uint64_t extended);

  const ThreadContext& thread_;
  Registers resumption_;
  std::uint64_t signal_return_;
  StackImage image_;
};

// The return from a signal handler that libc gives the kernel ("mov $15, %rax; syscall"), in executable bytes: where it
// begins in them.
inline constexpr bool kSignalReturnIsInVdso = false;
std::optional<std::size_t> find_signal_return(std::string_view code);

// From the code of __errno_location, which begins at `address`: where the offset of errno from the thread pointer is
// kept.
std::optional<std::uint64_t> find_errno_offset_slot(std::string_view code, std::uint64_t address);

}  // namespace leakwatch::x86_64
