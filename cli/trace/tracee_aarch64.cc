// SPDX-License-Identifier: Apache-2.0
//
// See the header: the part of 64-bit ARM. Sets of registers: Linux, arch/arm64/kernel/ptrace.c, and
// Documentation/arch/arm64/sve.rst and sme.rst for those that not every processor has.

#include <elf.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cli/process/thread_files.h"
#include "cli/trace/tracee.h"
#include "symbolize/process_memory.h"

// Of newer headers.
#ifndef NT_ARM_SSVE
#define NT_ARM_SSVE 0x40b
#endif
#ifndef NT_ARM_ZA
#define NT_ARM_ZA 0x40c
#endif
#ifndef NT_ARM_GCS
#define NT_ARM_GCS 0x410
#endif

namespace leakwatch {

namespace {

using aarch64::Registers;

// struct user_sve_header, user_za_header.
struct VectorHeader {
  std::uint32_t size;
  std::uint32_t largest_size;
  std::uint16_t vector_length;
  std::uint16_t largest_length;
  std::uint16_t flags;
  std::uint16_t reserved;
};
static_assert(sizeof(VectorHeader) == 16);
constexpr std::uint16_t kHasWideVectors = 1;  // SVE_PT_REGS_SVE

// All zeros where the processor has no such registers.
VectorHeader vector_header(pid_t tid, long kind) {
  VectorHeader header{};
  read_register_set(tid, kind, &header, sizeof header);
  return header;
}

// As they are in a signal frame too: 32 registers of the full length, 16 and one with a bit for each byte of that.
void read_wide_vectors(pid_t tid, aarch64::ThreadContext& context) {
  const VectorHeader header = vector_header(tid, NT_ARM_SVE);
  if ((header.flags & kHasWideVectors) == 0) return;
  std::vector<char> bytes(header.size);
  const std::size_t size = std::size_t{header.vector_length} * 32 + std::size_t{header.vector_length} / 8 * 17;
  bytes.resize(read_register_set(tid, NT_ARM_SVE, bytes.data(), bytes.size()));
  if (bytes.size() < sizeof header + size) return;
  context.vector_length = header.vector_length;
  context.wide_vectors.assign(bytes.begin() + sizeof header, bytes.begin() + sizeof header + static_cast<long>(size));
}

// Nothing follows the header of a mode that is off.
bool has_registers(const VectorHeader& header) {
  return header.size > sizeof header;
}

// The first word of struct user_gcs tells what of it is on; 0 where the processor has none.
bool has_guarded_stack(pid_t tid) {
  constexpr std::uint64_t kIsOn = 1;
  std::array<std::uint64_t, 3> state{};
  read_register_set(tid, NT_ARM_GCS, state.data(), sizeof state);
  return (state[0] & kIsOn) != 0;
}

std::uint32_t instruction_before(pid_t tid, std::uint64_t pc) {
  std::uint32_t instruction = 0;
  read_process_memory(tid, pc - sizeof instruction, &instruction, sizeof instruction);
  return instruction;
}

bool may_have_come_from_handler(pid_t tid, const Registers& registers) {
  constexpr std::size_t kPage = 4096;
  std::string below(aarch64::kMostFrame, '\0');
  // The first bytes may not be mapped yet, and then none are read.
  for (std::size_t size = below.size(); size > 0; size -= kPage) {
    const std::size_t copied = read_process_memory(tid, registers.stack_pointer - size, below.data(), size);
    if (copied != 0) return aarch64::has_frame_of_handler(registers, std::string_view(below).substr(0, copied));
  }
  return false;
}

// The kernel keeps it for as long as the call goes on, and shows it of a thread that is in a call. This one is not any
// more, but for its number, which tracers may set and which the kernel does not look at again.
std::optional<std::uint64_t> first_argument(pid_t tid, const Registers& registers) {
  constexpr int kNoCall = -1;
  const int number = static_cast<int>(registers.x[8]);
  if (!set_register_set(tid, NT_ARM_SYSTEM_CALL, &number, sizeof number)) return std::nullopt;
  const ThreadPlace place = ThreadFiles(tid, tid).place();
  set_register_set(tid, NT_ARM_SYSTEM_CALL, &kNoCall, sizeof kNoCall);
  const bool is_it = place.kind == ThreadPlace::Kind::kInCall && place.call == number && place.pc == registers.pc;
  return is_it ? std::optional(place.arguments[0]) : std::nullopt;
}

// The mask first: it is that which the call found, and a thread that has it is well whether it makes the call or not. A
// signal that waits and would have been let in by the call's own mask is then let in by the call that is made again.
bool make_call_again(pid_t tid, const Registers& again) {
  const auto mask = read_signal_mask(tid);
  if (!mask) return false;
  set_signal_mask(tid, *mask);
  return set_registers(tid, again);
}

}  // namespace

aarch64::BeforeStop look_before_stop(pid_t tid) {
  const ThreadPlace place = ThreadFiles(tid, tid).place();
  if (place.kind != ThreadPlace::Kind::kInCall) return {};
  return {place.stack_pointer, place.pc};
}

std::optional<Registers> read_registers_and_repair_call(pid_t tid, const aarch64::BeforeStop& before, int delivered) {
  Registers registers;
  if (read_register_set(tid, NT_PRSTATUS, &registers, sizeof registers) != sizeof registers) return std::nullopt;
  if (!aarch64::would_see_interruption(registers, instruction_before(tid, registers.pc))) return registers;
  if (!aarch64::slept_here(registers, before) && may_have_come_from_handler(tid, registers)) return registers;
  const auto argument = first_argument(tid, registers);
  if (!argument) return registers;
  const Registers again = aarch64::made_again(registers, *argument);
  if (!make_call_again(tid, again)) return std::nullopt;
  if (!has_caught_signal(tid, delivered)) return again;
  set_registers(tid, registers);  // its handler runs first, and has ended the call
  return registers;
}

MachineRegisters machine_registers(const Registers& user) {
  MachineRegisters registers;
  for (int number = 0; number < 31; ++number) registers.set(number, user.x[static_cast<std::size_t>(number)]);
  registers.set(MachineRegisters::kStackPointer, user.stack_pointer);
  registers.set(MachineRegisters::kPc, user.pc);
  return registers;
}

std::optional<aarch64::ThreadContext> read_context(pid_t tid, const Registers& registers) {
  aarch64::ThreadContext context;
  context.registers = registers;
  const auto mask = read_signal_mask(tid);
  std::uint64_t& pointer = context.thread_pointer;
  if (!mask || read_register_set(tid, NT_PRFPREG, &context.floating, sizeof context.floating) == 0 ||
      read_register_set(tid, NT_ARM_TLS, &pointer, sizeof pointer) != sizeof pointer) {
    return std::nullopt;
  }
  context.signal_mask = *mask;
  read_wide_vectors(tid, context);
  context.has_guarded_stack = has_guarded_stack(tid);
  context.has_matrices = has_registers(vector_header(tid, NT_ARM_SSVE)) || has_registers(vector_header(tid, NT_ARM_ZA));
  return context;
}

bool set_registers(pid_t tid, const Registers& registers) {
  return set_register_set(tid, NT_PRSTATUS, &registers, sizeof registers);
}

bool set_floating(pid_t tid, const aarch64::CallImage& image) {
  return set_register_set(tid, NT_PRFPREG, &image.floating, sizeof image.floating);
}

}  // namespace leakwatch
