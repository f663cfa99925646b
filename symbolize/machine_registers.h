// SPDX-License-Identifier: Apache-2.0
//
// The registers of a thread by DWARF's numbers, each known or not: of a thread that was not stopped the kernel tells
// the stack pointer, the pc and the arguments of its system call alone. With cli/trace/machine.h this is all that knows
// the machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace leakwatch {

#if defined(__x86_64__)
// The psABI, 3.6.2: the general ones and the return address, which is the caller's pc.
struct RegisterNumbers {
  static constexpr int kCount = 17;
  static constexpr int kStackPointer = 7;
  static constexpr int kPc = 16;
  static constexpr int kLastWithRule = kPc;  // of which unwind information says how it was before a call
  static constexpr int kReturnAddress = kPc;
  // The registers that a system call takes its arguments in, which it leaves as they are.
  static constexpr std::array<int, 6> kCallArguments = {5, 4, 1, 10, 8, 9};
  static constexpr bool kHasLinkRegister = false;
};
#elif defined(__aarch64__)
// DWARF for the Arm 64-bit Architecture, 4.1: x0 to x30, the stack pointer and the pc. The return address is in x30,
// and where a program signs it, its upper bits are no part of the address. The result of a system call replaces its
// first argument, but not as long as the thread sleeps.
struct RegisterNumbers {
  static constexpr int kCount = 33;
  static constexpr int kStackPointer = 31;
  static constexpr int kPc = 32;
  static constexpr int kLastWithRule = kStackPointer;
  static constexpr int kReturnAddress = 30;
  static constexpr std::array<int, 6> kCallArguments = {0, 1, 2, 3, 4, 5};
  static constexpr bool kHasLinkRegister = true;
};
#else
#error "leakwatch runs on x86-64 and aarch64"
#endif

class MachineRegisters : public RegisterNumbers {
 public:
  void set(int number, std::uint64_t value) {
    values_[static_cast<std::size_t>(number)] = value;
    known_ |= std::uint64_t{1} << static_cast<unsigned int>(number);
  }
  bool knows(int number) const {
    return number >= 0 && number < kCount && (known_ >> static_cast<unsigned int>(number) & 1U) != 0;
  }
  // Of one that is not known: 0.
  std::uint64_t get(int number) const { return knows(number) ? values_[static_cast<std::size_t>(number)] : 0; }
  std::uint64_t pc() const { return get(kPc); }
  std::uint64_t stack_pointer() const { return get(kStackPointer); }

 private:
  std::array<std::uint64_t, kCount> values_{};
  std::uint64_t known_ = 0;
};

}  // namespace leakwatch
