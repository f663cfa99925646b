// SPDX-License-Identifier: Apache-2.0
//
// What stopping a thread and the remote call know of the machine: 64-bit ARM under Linux. Bytes and registers in, bytes
// and registers out, so that it is built and tested on any machine. machine.h says what is here for each machine;
// tests/emulated/ has threads make calls in this way and come back, under emulators.
//
// Unlike x86-64 a function finds its return address in a register (x30), and there is no red zone:
//
//   old stack pointer ▶ marker, strings
//                       frame of the thread itself      ◀ the stack pointer when the last function returns
//                       frame of the last function      ◀ the one when the one before it returns
//   new stack pointer ▶ …
//
// All of them return to the vDSO's own return from a signal handler, which has the kernel restore the frame that the
// stack pointer is at. The frame of the thread itself has what SVE has beyond the 128 bits of a floating-point
// register, where it fits. Where it does not, which takes registers of more than 768 bits, the thread is only made to
// call where it stands in a system call, which leaves that undefined anyway. One that uses SME, which calls leave
// alone, never is.
//
// A thread that was stopped in a system call does not show that it is in one (Linux, arch/arm64/kernel/signal.c,
// do_signal): the kernel has decided about the call before a tracer sees it. One that it makes again stands before the
// instruction that enters the kernel, with its first argument back in place, like a thread that is just about to make
// that call, and no different from it in anything that matters. One that it ends with EINTR stands behind the
// instruction with that result in the place of the first argument; the argument is kept in the kernel, and shown in
// /proc/PID/syscall once the thread is told by a tracer to be in a call (tracee_aarch64.cc).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cli/trace/stack_image.h"
#include "cli/trace/system_call_restart.h"

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
inline std::uint64_t pc_of(const Registers& registers) {
  return registers.pc;
}
inline std::uint64_t stack_pointer_of(const Registers& registers) {
  return registers.stack_pointer;
}

inline constexpr std::uint64_t kRedZone = 0;

// NT_PRFPREG.
struct FloatingRegisters {
  std::array<unsigned char, 512> vectors{};
  std::uint32_t status = 0;   // FPSR
  std::uint32_t control = 0;  // FPCR
};
static_assert(sizeof(FloatingRegisters) == 520);

// Where a thread slept before it was stopped; nowhere when it did not.
struct BeforeStop {
  std::uint64_t stack_pointer = 0;
  std::uint64_t pc = 0;
};

struct ThreadContext {
  Registers registers;
  FloatingRegisters floating;
  std::uint64_t signal_mask = 0;
  std::uint64_t thread_pointer = 0;
  // What SVE's registers have in them, Z, P and FFR as in NT_ARM_SVE; empty when it is no more than the vectors have.
  std::vector<char> wide_vectors;
  std::uint16_t vector_length = 0;  // of the widest of these registers, in bytes
  bool has_matrices = false;        // SME's streaming mode or its array is on
  bool has_guarded_stack = false;   // return addresses are checked against another stack (GCS)
};

// In words that go on "the thread"; empty when nothing is lost.
std::string_view objection_to_state(const ThreadContext& thread, bool is_in_call);

// Whether the thread stands as one whose call the kernel ends with EINTR; `before`: the instruction before the pc. And
// what makes it again.
bool would_see_interruption(const Registers& registers, std::uint32_t before);
Registers made_again(const Registers& registers, std::uint64_t first_argument);

// A handler that ran when such a call ended comes back to the same place with the same result, and then the program is
// to see it. None has where the thread slept when it was traced already. Elsewhere the frame that a handler comes back
// from is still there: whether `below`, what the stack has just below its pointer, has one for these registers. It may
// be of an earlier handler that nothing has been written over since; then the call ends once more than it must.
bool slept_here(const Registers& registers, const BeforeStop& before);
bool has_frame_of_handler(const Registers& registers, std::string_view below);
inline constexpr std::size_t kMostFrame = std::size_t{16} << 10U;

// The instruction before the pc, and the one at it: "mov x8, #number", and "svc #0" of a thread that makes its call
// again, or is just about to make it.
inline constexpr std::size_t kCodeBeforePc = 4;
using CallCode = std::array<std::uint32_t, 2>;
inline constexpr std::size_t kCallCodeSize = sizeof(CallCode);

// The number of the call in which the thread goes on to sleep; -1 when it does not, as far as we know.
std::int64_t call_in_progress(const Registers& registers, const CallCode& code);

// How the thread goes on by itself, with a call that is told by its own number again.
struct Resumption {
  Registers registers;
  RestartEffect effect = RestartEffect::kNone;
};
// `number`: of a call that the kernel has taken up before, -1 when that is not known. Nothing when the call cannot be
// made again.
std::optional<Resumption> find_resumption(const Registers& registers, const CallCode& code, std::int64_t number = -1);

bool has_call_taken_up(const Registers& registers, const CallCode& code);
CallNumberPlace find_call_number(const CallCode& code);

// Written in this order, as on x86-64. The floating-point registers need not be changed: a function may be entered with
// any, but for the control register, which is 0 at the start of a process.
struct CallImage {
  std::uint64_t address = 0;
  std::vector<char> bytes;
  Registers registers;
  std::uint64_t signal_mask = 0;
  FloatingRegisters floating;
};

class CallImageBuilder {
 public:
  // `signal_return`: see find_signal_return.
  CallImageBuilder(const ThreadContext& thread, const Registers& resumption, std::uint64_t signal_return);

  // Data for the functions; the address at which they find it.
  std::uint64_t add(std::string_view bytes) { return image_.add(bytes, kAlignment); }
  std::uint64_t add_text(std::string_view text);  // with a zero at its end

  // `calls` are made one after the other with `mask` as the signal mask, then the thread goes on.
  CallImage build(std::span<const Invocation> calls, std::uint64_t mask);

 private:
  static constexpr std::uint64_t kAlignment = 16;  // of the stack pointer, whenever memory is reached by it

  std::uint64_t add_frame(const Registers& registers, std::uint64_t mask, bool is_of_thread);
  Registers registers_for(const Invocation& call, std::uint64_t frame) const;

  const ThreadContext& thread_;
  Registers resumption_;
  std::uint64_t signal_return_;
  StackImage image_;
};

// The vDSO's return from a signal handler ("mov x8, #139; svc #0"), in executable bytes: where it begins in them.
inline constexpr bool kSignalReturnIsInVdso = true;
std::optional<std::size_t> find_signal_return(std::string_view code);

// From the code of __errno_location, which begins at `address`: where the offset of errno from the thread pointer is
// kept.
std::optional<std::uint64_t> find_errno_offset_slot(std::string_view code, std::uint64_t address);

}  // namespace leakwatch::aarch64
