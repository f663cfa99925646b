// SPDX-License-Identifier: Apache-2.0
//
// The registers of a thread by DWARF's numbers, each known or not: of a thread that was not stopped the kernel tells
// the stack pointer, the pc and the arguments of its system call alone. With cli/thread_stop.cc, which fills them in,
// this is all that knows the machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace leakwatch {

class MachineRegisters {
 public:
  static constexpr int kCount = 17;  // x86-64: the general ones and the return address
  static constexpr int kStackPointer = 7;
  static constexpr int kPc = 16;  // the return address column, which is the caller's pc

  // The registers that a system call takes its arguments in, which it leaves as they are.
  static constexpr std::array<int, 6> kCallArguments = {5, 4, 1, 10, 8, 9};

  void set(int number, std::uint64_t value) {
    values_[static_cast<std::size_t>(number)] = value;
    known_ |= 1U << static_cast<unsigned int>(number);
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
  std::uint32_t known_ = 0;
};

}  // namespace leakwatch
