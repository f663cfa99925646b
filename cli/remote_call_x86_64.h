// SPDX-License-Identifier: Apache-2.0
//
// What the remote call knows of the machine: x86-64 under Linux. Bytes and registers in, bytes and registers out;
// nothing here touches a process.
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

#include "cli/stack_image.h"
#include "cli/system_call_restart.h"
#include "symbolize/machine_registers.h"

namespace leakwatch {

// All that a thread is while it is stopped.
struct ThreadContext {
  user_regs_struct registers{};
  std::vector<char> extended;  // floating-point and vector registers: the regset NT_X86_XSTATE
  std::uint64_t signal_mask = 0;
};

MachineRegisters machine_registers(const user_regs_struct& registers);

// Whether a stop broke a system call, of which nobody has seen the result yet.
bool has_broken_call(const user_regs_struct& registers);
// The same for a call that the kernel would let end with EINTR; and what to make of it, so that the kernel makes it
// again unless a handler runs.
bool would_see_interruption(const user_regs_struct& registers);
inline constexpr std::int64_t kRestartWithoutHandler = -514;

// How a thread goes on that is not resumed by the kernel but by itself: a broken call is made again.
struct Resumption {
  user_regs_struct registers{};
  RestartEffect effect = RestartEffect::kNone;
};
inline constexpr std::size_t kCallCodeSize = 7;  // "mov $number, %eax; syscall"
using CallCode = std::array<unsigned char, kCallCodeSize>;
// `code`: what stands before the pc. `number`: of a call that the kernel has taken up before, -1 when that is not
// known. Nothing when the call cannot be made again.
std::optional<Resumption> find_resumption(const user_regs_struct& registers, const CallCode& code,
                                          std::int64_t number = -1);

// The kernel takes up some calls by restart_syscall(2), and that is the number which the registers have from then on.
// Where the call's own one is told by the code that made it. Since glibc 2.41 (sysdeps/unix/sysv/linux/x86_64/
// syscall_cancel.S, nptl/cancellation.c) a call that is a cancellation point is made by a function that has the number
// as its seventh argument, or by one that this function calls.
struct CallNumberPlace {
  enum class Kind : std::uint8_t {
    kUnknown,
    kInCode,           // `value` is the number
    kOnStack,          // it is in memory, so many bytes above the stack pointer
    kCallersArgument,  // it is what the caller of the function that made the call has as its first argument in memory
  };
  Kind kind = Kind::kUnknown;
  std::uint32_t value = 0;
};
bool has_call_taken_up(const user_regs_struct& registers);
CallNumberPlace find_call_number(const CallCode& code);

// What is to be written, in this order: a thread that is let go after any of the steps is well.
struct CallImage {
  std::uint64_t address = 0;
  std::vector<char> bytes;
  user_regs_struct registers{};
  std::uint64_t signal_mask = 0;
  user_fpregs_struct floating{};
};

// Asynchronous signals wait while the call runs, as a handler might not return. Left open are faults, and the signal by
// which glibc changes the user of all threads: whoever sent it waits for this thread, with a lock held that the loader
// may need.
std::uint64_t signals_blocked_in_call();

class CallImageBuilder {
 public:
  // `signal_return`: libc's return from a signal handler.
  CallImageBuilder(const ThreadContext& thread, const user_regs_struct& resumption, std::uint64_t signal_return);

  // Data for the functions; the address at which they find it.
  std::uint64_t add(std::string_view bytes) { return image_.add(bytes, 8); }
  std::uint64_t add_text(std::string_view text);  // with a zero at its end

  // `calls` are made one after the other, then the thread goes on.
  CallImage build(std::span<const Invocation> calls);

 private:
  std::uint64_t add_extended_state();
  std::uint64_t add_frame(const user_regs_struct& registers, std::uint64_t mask, std::uint64_t extended);

  const ThreadContext& thread_;
  user_regs_struct resumption_;
  std::uint64_t signal_return_;
  StackImage image_;
};

// The return from a signal handler that libc gives the kernel ("mov $15, %rax; syscall"), in executable bytes: where it
// begins in them.
std::optional<std::size_t> find_signal_return(std::string_view code);

// From the code of __errno_location: where the offset of errno from the thread pointer is kept, which is the address
// after the code's beginning plus this.
std::optional<std::int64_t> find_errno_offset_slot(std::string_view code);

}  // namespace leakwatch
