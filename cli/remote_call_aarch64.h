// SPDX-License-Identifier: Apache-2.0
//
// What the remote call must know of 64-bit ARM under Linux: the counterpart of remote_call_x86_64.h, as bytes and
// registers in, bytes and registers out, so that it is built and tested on any machine. tests/emulated/ has a thread
// make calls in this way and come back, under an emulator. The ways to stop a thread and to choose its place are not
// written for ARM yet.
//
// Unlike x86-64 a function finds its return address in a register (x30), and there is no red zone:
//
//   old stack pointer ▶ marker, strings
//                       frame of the thread itself      ◀ the stack pointer when the last function returns
//                       frame of the last function      ◀ the one when the one before it returns
//   new stack pointer ▶ …
//
// All of them return to the vDSO's own return from a signal handler, which has the kernel restore the frame that the
// stack pointer is at. A frame has the floating-point registers as 128-bit vectors; what SVE and SME have beyond them
// would be lost, so a thread that uses these may only be made to call while it sleeps in a system call, which leaves
// them undefined anyway.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cli/stack_image.h"

namespace leakwatch::aarch64 {

// As the regset NT_PRSTATUS has them.
struct Registers {
  std::array<std::uint64_t, 31> x{};
  std::uint64_t stack_pointer = 0;
  std::uint64_t pc = 0;
  std::uint64_t state = 0;  // PSTATE
  friend bool operator==(const Registers&, const Registers&) = default;
};
static_assert(sizeof(Registers) == 272);

// NT_PRFPREG.
struct FloatingRegisters {
  std::array<unsigned char, 512> vectors{};
  std::uint32_t status = 0;   // FPSR
  std::uint32_t control = 0;  // FPCR
};
static_assert(sizeof(FloatingRegisters) == 520);

struct ThreadContext {
  Registers registers;
  FloatingRegisters floating;
  std::uint64_t signal_mask = 0;
};

// A system call that a thread was seen in before it was stopped (/proc/PID/task/TID/syscall). A stopped thread does not
// show any more in which one it was, nor its first argument, whose register has the result by then.
struct SleepingCall {
  std::int64_t number = -1;
  std::uint64_t first_argument = 0;
};

// How the thread goes on by itself. The kernel has set the registers back already for a call that it makes again; one
// that it would let end with EINTR is made again too. `instruction`: the one before the pc. Nothing when the call is
// not the one that was seen.
std::optional<Registers> find_resumption(const Registers& registers, const std::optional<SleepingCall>& call,
                                         std::uint32_t instruction);

// Written in this order, as on x86-64. The floating-point registers need not be changed: a function may be entered with
// any, but for the control register, which is 0 at the start of a process.
struct CallImage {
  std::uint64_t address = 0;
  std::vector<char> bytes;
  Registers registers;
  FloatingRegisters floating;
};

class CallImageBuilder {
 public:
  // `signal_return`: see find_signal_return.
  CallImageBuilder(const ThreadContext& thread, const Registers& resumption, std::uint64_t signal_return);

  // Data for the functions; the address at which they find it.
  std::uint64_t add(std::string_view bytes) { return image_.add(bytes, kAlignment); }

  // `calls` are made one after the other with `mask` as the signal mask, then the thread goes on.
  CallImage build(std::span<const Invocation> calls, std::uint64_t mask);

 private:
  static constexpr std::uint64_t kAlignment = 16;  // of the stack pointer, whenever memory is reached by it

  std::uint64_t add_frame(const Registers& registers, std::uint64_t mask);
  Registers registers_for(const Invocation& call, std::uint64_t frame) const;

  const ThreadContext& thread_;
  Registers resumption_;
  std::uint64_t signal_return_;
  StackImage image_;
};

// The vDSO's return from a signal handler ("mov x8, #139; svc #0"), in executable bytes: where it begins in them.
std::optional<std::size_t> find_signal_return(std::string_view code);

}  // namespace leakwatch::aarch64
