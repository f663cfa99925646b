// SPDX-License-Identifier: Apache-2.0
//
// What a file's .eh_frame says of an address: how the caller's registers are found from there. Read through libdw once
// per address and kept in a form that costs nanoseconds to follow: a thousand threads sleep in a few dozen places.
//
// libdwfl's own unwinder was the other way. It holds a register to be known or wrong, looks each row up anew, and wants
// a whole session per process: for threads of which two registers are known that is not enough.
#pragma once

#include <elfutils/libdw.h>

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "symbolize/machine_registers.h"

namespace leakwatch {

// How one value of the caller is found.
struct FrameRule {
  enum class Kind : std::uint8_t {
    kUndefined,        // cannot be recovered; for the return address: this is the outermost frame
    kSameValue,        // not touched by this frame
    kAtCfa,            // stored at the canonical frame address + offset
    kCfaPlus,          // is the canonical frame address + offset
    kRegisterPlus,     // is a register's value + offset
    kExpression,       // stored where a DWARF expression says
    kValueExpression,  // is what a DWARF expression says
  };
  Kind kind = Kind::kUndefined;
  std::int32_t number = 0;  // the register, or the index of the expression
  std::int64_t offset = 0;
};

struct FrameRow {
  FrameRule cfa;
  std::array<FrameRule, MachineRegisters::kCount> registers;
  bool is_signal = false;  // the caller was interrupted, so its pc is exact
};

class CallFrameTable {
 public:
  using Expression = std::vector<Dwarf_Op>;

  explicit CallFrameTable(Elf* elf);  // which must outlive this

  // The row of an address in the file's own address space, null when the file says nothing about it.
  const FrameRow* row(std::uint64_t address);
  const Expression& expression(int index) const { return expressions_[static_cast<std::size_t>(index)]; }

 private:
  struct EndInformation {
    void operator()(Dwarf_CFI* information) const { dwarf_cfi_end(information); }
  };

  std::unique_ptr<FrameRow> read_row(std::uint64_t address);
  bool read_rule(Dwarf_Frame* frame, int number, FrameRule& rule);
  FrameRule read_cfa(Dwarf_Frame* frame);
  int keep(const Dwarf_Op* operations, std::size_t count);

  std::unique_ptr<Dwarf_CFI, EndInformation> information_;
  std::unordered_map<std::uint64_t, std::unique_ptr<FrameRow>> rows_;  // null: nothing is known there
  std::vector<Expression> expressions_;
};

}  // namespace leakwatch
