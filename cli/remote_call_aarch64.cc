// SPDX-License-Identifier: Apache-2.0
//
// See the header. Layouts: the uapi headers of Linux for arm64, asm/sigcontext.h and asm/ucontext.h, and its signal.c
// for what is expected around them.

#include "cli/remote_call_aarch64.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace leakwatch::aarch64 {

namespace {

constexpr std::uint32_t kEnterKernel = 0xd4000001;     // svc #0
constexpr std::uint32_t kNumberOfReturn = 0xd2801168;  // mov x8, #139
constexpr std::size_t kNumberRegister = 8, kReturnRegister = 30;

// Of PSTATE: single step, and what kind of branch came before, which a landing pad would check.
constexpr std::uint64_t kSingleStep = std::uint64_t{1} << 21U, kBranchType = std::uint64_t{3} << 10U;

// The kernel takes no alternate stack with flags that it does not know, and leaves the thread's as it is.
constexpr std::int32_t kNoSuchStackFlags = 0x10;

constexpr std::uint32_t kFloatingMagic = 0x46508001;  // FPSIMD_MAGIC

struct FloatingRecord {
  std::uint32_t magic;
  std::uint32_t size;
  std::uint32_t status;
  std::uint32_t control;
  unsigned char vectors[512];
};
static_assert(sizeof(FloatingRecord) == 528);

struct SignalFrame {
  char information[128];  // siginfo_t, which nobody reads
  std::uint64_t flags;
  std::uint64_t link;
  std::uint64_t alternate_stack;
  std::int32_t alternate_stack_flags;
  std::int32_t padding;
  std::uint64_t alternate_stack_size;
  std::uint64_t signal_mask;
  char room_for_signals[120];
  std::uint64_t unaligned;
  std::uint64_t fault_address;
  std::uint64_t x[31];
  std::uint64_t stack_pointer, pc, state;
  std::uint64_t unaligned_too;
  FloatingRecord floating;
  char end[4096 - sizeof(FloatingRecord)];  // a record of size 0, and what is left of the room for records
};
static_assert(offsetof(SignalFrame, signal_mask) == 128 + 40);
static_assert(offsetof(SignalFrame, fault_address) == 128 + 176);
static_assert(offsetof(SignalFrame, floating) == 128 + 464);
static_assert(sizeof(SignalFrame) == 4688);

}  // namespace

std::optional<Registers> find_resumption(const Registers& registers, const std::optional<SleepingCall>& call,
                                         std::uint32_t instruction) {
  const bool is_interrupted = static_cast<std::int64_t>(registers.x[0]) == -EINTR && instruction == kEnterKernel;
  if (!is_interrupted || !call) return registers;
  if (static_cast<std::int64_t>(registers.x[kNumberRegister]) != call->number) return std::nullopt;
  Registers again = registers;
  again.x[0] = call->first_argument;
  again.pc -= sizeof instruction;
  return again;
}

CallImageBuilder::CallImageBuilder(const ThreadContext& thread, const Registers& resumption,
                                   std::uint64_t signal_return)
    : thread_(thread),
      resumption_(resumption),
      signal_return_(signal_return),
      image_(thread.registers.stack_pointer & ~(kAlignment - 1)) {}

std::uint64_t CallImageBuilder::add_frame(const Registers& registers, std::uint64_t mask) {
  SignalFrame frame{};
  frame.alternate_stack_flags = kNoSuchStackFlags;
  frame.signal_mask = mask;
  std::memcpy(frame.x, registers.x.data(), sizeof frame.x);
  frame.stack_pointer = registers.stack_pointer;
  frame.pc = registers.pc;
  frame.state = registers.state;
  frame.floating.magic = kFloatingMagic;
  frame.floating.size = sizeof frame.floating;
  frame.floating.status = thread_.floating.status;
  frame.floating.control = thread_.floating.control;
  std::memcpy(frame.floating.vectors, thread_.floating.vectors.data(), sizeof frame.floating.vectors);
  return image_.add({reinterpret_cast<const char*>(&frame), sizeof frame}, kAlignment);
}

Registers CallImageBuilder::registers_for(const Invocation& call, std::uint64_t frame) const {
  Registers registers = thread_.registers;
  for (std::size_t index = 0; index < call.arguments.size(); ++index) registers.x[index] = call.arguments[index];
  registers.x[kReturnRegister] = signal_return_;
  registers.stack_pointer = frame;
  registers.pc = call.function;
  registers.state &= ~(kSingleStep | kBranchType);
  return registers;
}

CallImage CallImageBuilder::build(std::span<const Invocation> calls, std::uint64_t mask) {
  Registers registers = resumption_;
  std::uint64_t frame_mask = thread_.signal_mask;
  for (std::size_t left = calls.size(); left > 0; --left) {
    registers = registers_for(calls[left - 1], add_frame(registers, frame_mask));
    frame_mask = mask;
  }
  CallImage image{image_.bottom(), image_.bytes(), registers, thread_.floating};
  image.floating.control = 0;
  return image;
}

std::optional<std::size_t> find_signal_return(std::string_view code) {
  std::uint32_t instructions[] = {kNumberOfReturn, kEnterKernel};
  const std::string_view wanted(reinterpret_cast<const char*>(instructions), sizeof instructions);
  for (std::size_t place = code.find(wanted); place != std::string_view::npos; place = code.find(wanted, place + 1)) {
    if (place % sizeof instructions[0] == 0) return place;
  }
  return std::nullopt;
}

}  // namespace leakwatch::aarch64
