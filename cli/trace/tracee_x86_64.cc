// SPDX-License-Identifier: Apache-2.0
//
// See the header: the part of x86-64.

#include <elf.h>
#include <sys/ptrace.h>

#include <cstddef>

#include "cli/trace/tracee.h"

namespace leakwatch {

namespace {

constexpr std::size_t kLargestExtended = std::size_t{64} << 10U;

}  // namespace

x86_64::BeforeStop look_before_stop(pid_t /*tid*/) {
  return {};
}

std::optional<x86_64::Registers> read_registers_and_repair_call(pid_t tid, const x86_64::BeforeStop& /*before*/,
                                                                int /*delivered*/) {
  x86_64::Registers registers{};
  if (read_register_set(tid, NT_PRSTATUS, &registers, sizeof registers) != sizeof registers) return std::nullopt;
  if (x86_64::would_see_interruption(registers)) {
    ptrace(PTRACE_POKEUSER, tid, ptrace_number(offsetof(user_regs_struct, rax)),
           ptrace_number(x86_64::kRestartWithoutHandler));
  }
  return registers;
}

MachineRegisters machine_registers(const x86_64::Registers& user) {
  const unsigned long long in_dwarf_order[] = {user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi,
                                               user.rbp, user.rsp, user.r8,  user.r9,  user.r10, user.r11,
                                               user.r12, user.r13, user.r14, user.r15, user.rip};
  MachineRegisters registers;
  int index = 0;
  for (const unsigned long long value : in_dwarf_order) registers.set(index++, value);
  return registers;
}

std::optional<x86_64::ThreadContext> read_context(pid_t tid, const x86_64::Registers& registers) {
  x86_64::ThreadContext context;
  context.registers = registers;
  context.thread_pointer = registers.fs_base;
  context.extended.resize(kLargestExtended);
  context.extended.resize(read_register_set(tid, NT_X86_XSTATE, context.extended.data(), context.extended.size()));
  const auto mask = read_signal_mask(tid);
  if (context.extended.empty() || !mask) return std::nullopt;
  context.signal_mask = *mask;
  return context;
}

bool set_registers(pid_t tid, const x86_64::Registers& registers) {
  return set_register_set(tid, NT_PRSTATUS, &registers, sizeof registers);
}

bool set_floating(pid_t tid, const x86_64::CallImage& image) {
  return set_register_set(tid, NT_PRFPREG, &image.floating, sizeof image.floating);
}

}  // namespace leakwatch
