// SPDX-License-Identifier: Apache-2.0
//
// From .eh_frame to rules. Sources: the Linux Standard Base's chapter on exception frames (.eh_frame and
// .eh_frame_hdr), DWARF 5 section 6.4 for the instructions, the x86-64 psABI for the registers' numbers (rbp 6, rsp 7,
// return address 16).

#include "preload/frame_rules.h"

#include <cstring>

namespace leakwatch::preload {

namespace {

// Pointer encodings.
constexpr std::uint8_t kOmit = 0xff, kFormatMask = 0x0f, kRelativeMask = 0x70;
constexpr std::uint8_t kAbsolute = 0x00, kUdata2 = 0x02, kUdata4 = 0x03, kUdata8 = 0x04, kUleb = 0x01;
constexpr std::uint8_t kSleb = 0x09, kSdata2 = 0x0a, kSdata4 = 0x0b, kSdata8 = 0x0c;
constexpr std::uint8_t kPcRelative = 0x10, kDataRelative = 0x30;

constexpr std::uint64_t kRbpRegister = 6, kRspRegister = 7, kReturnRegister = 16;

// A position in mapped tables that never passes its end; reading past it gives zeroes and sets `bad`.
struct Cursor {
  const std::uint8_t* at;
  const std::uint8_t* end;
  bool bad = false;

  template <class T>
  T fixed() {
    T value{};
    if (static_cast<std::size_t>(end - at) < sizeof value) {
      bad = true;
      return value;
    }
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
    return value;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !bad; shift += 7) {
      const std::uint8_t byte = fixed<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }

  std::int64_t sleb() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    std::uint8_t byte = 0x80;
    while (!bad && (byte & 0x80) != 0) {
      byte = fixed<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      shift += 7;
    }
    if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
    return static_cast<std::int64_t>(value);
  }

  void skip(std::uint64_t bytes) {
    if (bytes > static_cast<std::uint64_t>(end - at)) {
      bad = true;
      at = end;
    } else {
      at += bytes;
    }
  }

  std::uint64_t encoded(std::uint8_t encoding, std::uint64_t data_base) {
    const std::uint64_t here = reinterpret_cast<std::uintptr_t>(at);
    std::uint64_t value = 0;
    switch (encoding & kFormatMask) {
      case kAbsolute:
      case kUdata8:
      case kSdata8:
        value = fixed<std::uint64_t>();
        break;
      case kUdata2:
        value = fixed<std::uint16_t>();
        break;
      case kUdata4:
        value = fixed<std::uint32_t>();
        break;
      case kSdata2:
        value = static_cast<std::uint64_t>(fixed<std::int16_t>());
        break;
      case kSdata4:
        value = static_cast<std::uint64_t>(fixed<std::int32_t>());
        break;
      case kUleb:
        value = uleb();
        break;
      case kSleb:
        value = static_cast<std::uint64_t>(sleb());
        break;
      default:
        bad = true;
    }
    if ((encoding & kRelativeMask) == kPcRelative) value += here;
    if ((encoding & kRelativeMask) == kDataRelative) value += data_base;
    return value;
  }
};

// An entry of .eh_frame: its bytes after the length, and where they begin.
Cursor open_entry(std::uint64_t address) {
  std::uint32_t length;
  const auto* at = reinterpret_cast<const std::uint8_t*>(address);
  std::memcpy(&length, at, sizeof length);
  if (length == 0 || length == 0xffffffff) return {at, at, true};
  return {at + 4, at + 4 + length};
}

struct CommonEntry {
  std::uint64_t code_alignment = 1;
  std::int64_t data_alignment = 1;
  std::uint64_t return_register = kReturnRegister;
  std::uint8_t pointer_encoding = kAbsolute;
  bool has_augmentation_data = false;
  bool is_signal_frame = false;
  Cursor instructions{nullptr, nullptr, true};
};

void read_augmentation(const char* letters, Cursor& in, CommonEntry& common) {
  if (*letters != 'z') {
    in.bad |= *letters != 0;  // "eh" and unknown ones: nobody has made these for decades
    return;
  }
  common.has_augmentation_data = true;
  const std::uint64_t size = in.uleb();
  Cursor data = in;
  for (++letters; *letters != 0 && !data.bad; ++letters) {
    if (*letters == 'R')
      common.pointer_encoding = data.fixed<std::uint8_t>();
    else if (*letters == 'L')
      data.fixed<std::uint8_t>();
    else if (*letters == 'P')
      data.encoded(data.fixed<std::uint8_t>(), 0);
    else if (*letters == 'S')
      common.is_signal_frame = true;
    else
      break;
  }
  in.skip(size);
}

CommonEntry read_common(std::uint64_t address) {
  CommonEntry common;
  Cursor in = open_entry(address);
  in.fixed<std::uint32_t>();  // 0: this is a common entry
  const std::uint8_t version = in.fixed<std::uint8_t>();
  const char* letters = reinterpret_cast<const char*>(in.at);
  while (!in.bad && in.fixed<std::uint8_t>() != 0) continue;
  common.code_alignment = in.uleb();
  common.data_alignment = in.sleb();
  common.return_register = version == 1 ? in.fixed<std::uint8_t>() : in.uleb();
  if (!in.bad) read_augmentation(letters, in, common);
  common.instructions = in;
  return common;
}

struct RegisterRule {
  enum Kind : std::uint8_t { kSame, kUndefined, kAtCfa, kExpression, kOther } kind = kSame;
  std::int64_t offset = 0;  // kAtCfa
  Cursor expression{nullptr, nullptr, true};
};

struct UnwindRow {
  std::uint64_t cfa_register = kRspRegister;
  std::int64_t cfa_offset = 0;
  bool cfa_is_expression = false;
  Cursor cfa_expression{nullptr, nullptr, true};
  RegisterRule rbp, rsp, return_address;

  RegisterRule* rule(std::uint64_t number) {
    return number == kRbpRegister      ? &rbp
           : number == kRspRegister    ? &rsp
           : number == kReturnRegister ? &return_address
                                       : nullptr;
  }
};

// Runs call-frame instructions up to the row of one address.
class Interpreter {
 public:
  Interpreter(const CommonEntry& common, std::uint64_t start) : common_(common), location_(start) {}

  // False when an instruction is unknown or malformed.
  bool run(Cursor code, std::uint64_t address) {
    while (code.at < code.end && !code.bad && location_ <= address) {
      if (!step(code, address)) return false;
    }
    return !code.bad;
  }
  void keep_as_initial() { initial_ = row; }

  UnwindRow row;

 private:
  static constexpr int kRemembered = 4;

  bool step(Cursor& code, std::uint64_t address) {
    const std::uint8_t byte = code.fixed<std::uint8_t>();
    const std::uint8_t operand = byte & 0x3f;
    switch (byte & 0xc0) {
      case 0x40:
        advance(operand);
        return true;  // advance_loc
      case 0x80:
        saved_at(operand, static_cast<std::int64_t>(code.uleb()));
        return true;  // offset
      case 0xc0:
        restore(operand);
        return true;  // restore
      default:
        return extended(operand, code, address);
    }
  }

  bool extended(std::uint8_t operation, Cursor& code, std::uint64_t) {
    switch (operation) {
      case 0x00:
        return true;  // nop
      case 0x01:
        location_ = code.encoded(common_.pointer_encoding, 0);
        return true;  // set_loc
      case 0x02:
        advance(code.fixed<std::uint8_t>());
        return true;
      case 0x03:
        advance(code.fixed<std::uint16_t>());
        return true;
      case 0x04:
        advance(code.fixed<std::uint32_t>());
        return true;
      case 0x05: {
        const auto r = code.uleb();
        saved_at(r, static_cast<std::int64_t>(code.uleb()));
        return true;
      }
      case 0x06:
        restore(code.uleb());
        return true;
      case 0x07:
        set(code.uleb(), RegisterRule::kUndefined);
        return true;
      case 0x08:
        set(code.uleb(), RegisterRule::kSame);
        return true;
      case 0x09: {
        const auto r = code.uleb();
        code.uleb();
        set(r, RegisterRule::kOther);
        return true;
      }  // register
      case 0x0a:
        return remember();
      case 0x0b:
        return recall();
      case 0x0c: {
        const auto r = code.uleb();
        define_cfa(r, static_cast<std::int64_t>(code.uleb()));
        return true;
      }
      case 0x0d:
        row.cfa_register = code.uleb();
        return true;
      case 0x0e:
        row.cfa_offset = static_cast<std::int64_t>(code.uleb());
        return true;
      case 0x0f:
        row.cfa_is_expression = true;
        row.cfa_expression = block(code);
        return true;
      case 0x10: {
        const auto r = code.uleb();
        expression(r, block(code));
        return true;
      }
      case 0x11: {
        const auto r = code.uleb();
        saved_at(r, code.sleb());
        return true;
      }  // offset_extended_sf
      case 0x12: {
        const auto r = code.uleb();
        define_cfa(r, code.sleb() * common_.data_alignment);
        return true;
      }
      case 0x13:
        row.cfa_offset = code.sleb() * common_.data_alignment;
        return true;
      case 0x14:
      case 0x15: {
        const auto r = code.uleb();
        code.uleb();
        set(r, RegisterRule::kOther);
        return true;
      }
      case 0x16: {
        const auto r = code.uleb();
        block(code);
        set(r, RegisterRule::kOther);
        return true;
      }
      case 0x2e:
        code.uleb();
        return true;  // GNU_args_size
      default:
        return false;
    }
  }

  void advance(std::uint64_t factored) { location_ += factored * common_.code_alignment; }

  void set(std::uint64_t number, RegisterRule::Kind kind) {
    if (RegisterRule* rule = row.rule(number)) *rule = {kind};
  }
  void saved_at(std::uint64_t number, std::int64_t factored) {
    if (RegisterRule* rule = row.rule(number)) *rule = {RegisterRule::kAtCfa, factored * common_.data_alignment};
  }
  void expression(std::uint64_t number, Cursor code) {
    if (RegisterRule* rule = row.rule(number)) *rule = {RegisterRule::kExpression, 0, code};
  }
  void restore(std::uint64_t number) {
    if (RegisterRule* rule = row.rule(number)) *rule = *initial_.rule(number);
  }
  void define_cfa(std::uint64_t number, std::int64_t offset) {
    row.cfa_register = number;
    row.cfa_offset = offset;
    row.cfa_is_expression = false;
  }
  Cursor block(Cursor& code) {
    const std::uint64_t size = code.uleb();
    Cursor inside{code.at, code.at};
    code.skip(size);
    inside.end = code.at;
    return inside;
  }
  bool remember() {
    if (remembered_count_ == kRemembered) return false;
    remembered_[remembered_count_++] = row;
    return true;
  }
  bool recall() {
    if (remembered_count_ == 0) return false;
    row = remembered_[--remembered_count_];
    return true;
  }

  const CommonEntry& common_;
  std::uint64_t location_;
  UnwindRow initial_;
  UnwindRow remembered_[kRemembered];
  int remembered_count_ = 0;
};

// DW_OP_breg6 (rbp) with an offset, alone or followed by DW_OP_deref: what a realigned stack looks like.
bool is_rbp_plus(Cursor code, bool dereferenced, std::int64_t& offset) {
  if (code.fixed<std::uint8_t>() != 0x76) return false;
  offset = code.sleb();
  if (dereferenced && code.fixed<std::uint8_t>() != 0x06) return false;
  return !code.bad && code.at == code.end;
}

bool fits16(std::int64_t value) {
  return value == static_cast<std::int16_t>(value);
}
bool fits32(std::int64_t value) {
  return value == static_cast<std::int32_t>(value);
}

constexpr FrameRule kComplexRule{FrameRule::kComplex};

bool set_cfa(const UnwindRow& row, FrameRule& rule) {
  std::int64_t offset = row.cfa_offset;
  if (row.cfa_is_expression) {
    if (!is_rbp_plus(row.cfa_expression, true, offset)) return false;
    rule.kind = FrameRule::kFromSavedRbp;
  } else if (row.cfa_register == kRspRegister || row.cfa_register == kRbpRegister) {
    rule.kind = row.cfa_register == kRspRegister ? FrameRule::kFromRsp : FrameRule::kFromRbp;
  } else {
    return false;
  }
  rule.cfa_offset = static_cast<std::int32_t>(offset);
  return fits32(offset);
}

bool set_rbp(const UnwindRow& row, FrameRule& rule) {
  std::int64_t offset = row.rbp.offset;
  switch (row.rbp.kind) {
    case RegisterRule::kSame:
    case RegisterRule::kUndefined:
      rule.rbp = FrameRule::kRbpSame;
      return true;
    case RegisterRule::kAtCfa:
      rule.rbp = FrameRule::kRbpAtCfa;
      break;
    case RegisterRule::kExpression:
      if (!is_rbp_plus(row.rbp.expression, false, offset)) return false;
      rule.rbp = FrameRule::kRbpAtRbp;
      break;
    case RegisterRule::kOther:
      return false;
  }
  rule.rbp_offset = static_cast<std::int16_t>(offset);
  return fits16(offset);
}

FrameRule compress(const UnwindRow& row) {
  if (row.return_address.kind == RegisterRule::kUndefined) return {FrameRule::kOutermost};
  if (row.return_address.kind != RegisterRule::kAtCfa || row.return_address.offset != -8) return kComplexRule;
  if (row.rsp.kind != RegisterRule::kSame) return kComplexRule;
  FrameRule rule;
  return set_cfa(row, rule) && set_rbp(row, rule) ? rule : kComplexRule;
}

// The frame description entry whose start is the last one not above `address`; 0 when there is no usable table.
std::uint64_t find_description(std::uint64_t header_address, std::uint64_t address) {
  const auto* header = reinterpret_cast<const std::uint8_t*>(header_address);
  constexpr std::uint8_t kSortedTable = kDataRelative | kSdata4;
  if (header[0] != 1 || header[2] == kOmit || header[3] != kSortedTable) return 0;
  Cursor in{header + 4, header + 32};
  in.encoded(header[1], header_address);
  const std::uint64_t count = in.encoded(header[2], header_address);
  if (in.bad || count == 0) return 0;
  struct Entry {
    std::int32_t start, description;
  };
  const auto* table = reinterpret_cast<const Entry*>(in.at);
  const std::int64_t wanted = static_cast<std::int64_t>(address - header_address);
  std::uint64_t low = 0, high = count;
  while (high - low > 1) {
    const std::uint64_t middle = (low + high) / 2;
    (table[middle].start <= wanted ? low : high) = middle;
  }
  if (table[low].start > wanted) return 0;
  return header_address + static_cast<std::uint64_t>(static_cast<std::int64_t>(table[low].description));
}

}  // namespace

FrameRule read_frame_rule(const void* eh_frame_header, std::uint64_t address) {
  const std::uint64_t description = find_description(reinterpret_cast<std::uintptr_t>(eh_frame_header), address);
  if (description == 0) return {};
  Cursor in = open_entry(description);
  const std::uint64_t pointer_at = reinterpret_cast<std::uintptr_t>(in.at);
  const CommonEntry common = read_common(pointer_at - in.fixed<std::uint32_t>());
  if (common.instructions.bad) return kComplexRule;
  const std::uint64_t start = in.encoded(common.pointer_encoding, 0);
  const std::uint64_t length = in.encoded(common.pointer_encoding & kFormatMask, 0);
  if (in.bad || address < start || address - start >= length) return {};
  if (common.is_signal_frame) return {FrameRule::kSignal};
  if (common.has_augmentation_data) in.skip(in.uleb());
  Interpreter interpreter(common, start);
  if (common.return_register != kReturnRegister || !interpreter.run(common.instructions, ~std::uint64_t{0}))
    return kComplexRule;
  interpreter.keep_as_initial();
  return interpreter.run(in, address) ? compress(interpreter.row) : kComplexRule;
}

FrameRule FrameRules::look_up(std::uint64_t address, std::uint64_t key, Place& place) {
  dl_find_object found;
  if (!modules_->find(address, found)) return {};
  const bool announced = modules_->announce(found);
  const FrameRule rule = found.dlfo_eh_frame == nullptr ? FrameRule{} : read_frame_rule(found.dlfo_eh_frame, address);
  if (announced) {
    const std::uint64_t bits = __builtin_bit_cast(std::uint64_t, rule);
    place.rule.store(bits, std::memory_order_relaxed);
    place.check.store(bits ^ key, std::memory_order_relaxed);
  }
  return rule;
}

}  // namespace leakwatch::preload
