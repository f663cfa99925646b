// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "symbolize/call_frame_table.h"

#include <dwarf.h>

#include <cstdlib>
#include <utility>

namespace leakwatch {

namespace {

struct FreeFrame {
  void operator()(Dwarf_Frame* frame) const { std::free(frame); }  // libdw hands out what malloc gave it
};

// A process whose code jumps about, or a hostile one, must not fill our memory with rows.
constexpr std::size_t kMostRows = 100'000;

}  // namespace

CallFrameTable::CallFrameTable(Elf* elf) : information_(elf == nullptr ? nullptr : dwarf_getcfi_elf(elf)) {}

const FrameRow* CallFrameTable::row(std::uint64_t address) {
  if (information_ == nullptr) return nullptr;
  const auto known = rows_.find(address);
  if (known != rows_.end()) return known->second.get();
  if (rows_.size() >= kMostRows) {
    rows_.clear();
    expressions_.clear();
  }
  return rows_.emplace(address, read_row(address)).first->second.get();
}

std::unique_ptr<FrameRow> CallFrameTable::read_row(std::uint64_t address) {
  Dwarf_Frame* found = nullptr;
  if (dwarf_cfi_addrframe(information_.get(), address, &found) != 0) return nullptr;
  const std::unique_ptr<Dwarf_Frame, FreeFrame> frame(found);
  auto row = std::make_unique<FrameRow>();
  if (dwarf_frame_info(found, nullptr, nullptr, &row->is_signal) != MachineRegisters::kReturnAddress) return nullptr;
  row->cfa = read_cfa(found);
  if (row->cfa.kind == FrameRule::Kind::kUndefined) return nullptr;
  for (int number = 0; number <= MachineRegisters::kLastWithRule; ++number) {
    if (!read_rule(found, number, row->registers[static_cast<std::size_t>(number)])) return nullptr;
  }
  return row;
}

FrameRule CallFrameTable::read_cfa(Dwarf_Frame* frame) {
  Dwarf_Op* operations = nullptr;
  std::size_t count = 0;
  if (dwarf_frame_cfa(frame, &operations, &count) != 0 || count == 0) return {};
  if (count == 1 && operations[0].atom == DW_OP_bregx) {
    return {FrameRule::Kind::kRegisterPlus, static_cast<std::int32_t>(operations[0].number),
            static_cast<std::int64_t>(operations[0].number2)};
  }
  return {FrameRule::Kind::kValueExpression, keep(operations, count), 0};
}

// libdw answers with a location: "CFA, plus N" for what is stored there, with "stack value" behind it for what is that
// value itself, a register's name, nothing at all for the same value, or an expression.
bool CallFrameTable::read_rule(Dwarf_Frame* frame, int number, FrameRule& rule) {
  using Kind = FrameRule::Kind;
  Dwarf_Op space[3];
  Dwarf_Op* operations = nullptr;
  std::size_t count = 0;
  if (dwarf_frame_register(frame, number, space, &operations, &count) != 0) return false;
  if (count == 0) {
    rule = {operations == nullptr ? Kind::kSameValue : Kind::kUndefined, 0, 0};
    return true;
  }
  if (count == 1 && operations[0].atom == DW_OP_regx) {
    rule = {Kind::kRegisterPlus, static_cast<std::int32_t>(operations[0].number), 0};
    return true;
  }
  const bool is_value = operations[count - 1].atom == DW_OP_stack_value;
  const std::size_t steps = count - (is_value ? 1 : 0);
  const bool has_offset = steps == 2 && operations[1].atom == DW_OP_plus_uconst;
  if (operations[0].atom == DW_OP_call_frame_cfa && (steps == 1 || has_offset)) {
    const auto offset = static_cast<std::int64_t>(has_offset ? operations[1].number : 0);
    rule = {is_value ? Kind::kCfaPlus : Kind::kAtCfa, 0, offset};
    return true;
  }
  rule = {is_value ? Kind::kValueExpression : Kind::kExpression, keep(operations, steps), 0};
  return true;
}

int CallFrameTable::keep(const Dwarf_Op* operations, std::size_t count) {
  expressions_.emplace_back(operations, operations + count);
  return static_cast<int>(expressions_.size()) - 1;
}

}  // namespace leakwatch
