// SPDX-License-Identifier: Apache-2.0
//
// Every row of every unwind table in this process against elfutils' reading of the same tables. A row that a FrameRule
// can say must become exactly that rule; kComplex is right only where it cannot. elfutils serves as a judge here; the
// product has it in symbolize/ only.
#include "preload/frame_rules.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/base/descriptor.h"
#include "tests/unit/catch.h"
#include "tests/unit/preload_session.h"

namespace leakwatch::preload {
namespace {

constexpr int kRbp = 6, kRsp = 7, kReturn = 16;

struct LoadedModule {
  std::string path;
  std::uint64_t bias = 0;
  const std::uint8_t* table_header = nullptr;  // .eh_frame_hdr in memory
};

std::vector<LoadedModule> loaded_modules() {
  std::vector<LoadedModule> modules;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* argument) {
        LoadedModule module;
        module.path = info->dlpi_name[0] == 0 ? "/proc/self/exe" : info->dlpi_name;
        module.bias = info->dlpi_addr;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            module.table_header = reinterpret_cast<const std::uint8_t*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
        if (module.path[0] == '/' && module.table_header != nullptr)
          static_cast<std::vector<LoadedModule>*>(argument)->push_back(module);
        return 0;
      },
      &modules);
  return modules;
}

// Where the functions begin, by the module's own search table, at run time.
std::vector<std::uint64_t> function_starts(const LoadedModule& module) {
  const std::uint8_t* header = module.table_header;
  REQUIRE((header[0] == 1 && header[1] == 0x1b && header[2] == 0x03 && header[3] == 0x3b));
  std::uint32_t count = 0;
  std::memcpy(&count, header + 8, sizeof count);
  std::vector<std::uint64_t> starts;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::int32_t offset = 0;
    std::memcpy(&offset, header + 12 + std::size_t{i} * 8, sizeof offset);
    starts.push_back(reinterpret_cast<std::uintptr_t>(header) + static_cast<std::uint64_t>(std::int64_t{offset}));
  }
  return starts;
}

class Oracle {
 public:
  explicit Oracle(const std::string& path) : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    elf_version(EV_CURRENT);
    elf_ = elf_begin(file_.number(), ELF_C_READ_MMAP, nullptr);
    cfi_ = dwarf_getcfi_elf(elf_);
  }
  ~Oracle() {
    dwarf_cfi_end(cfi_);
    elf_end(elf_);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  struct Row {
    bool exists = false;
    Dwarf_Addr end = 0;
    FrameRule rule;  // kComplex when no rule can say it
  };

  // `address` in the file.
  Row at(Dwarf_Addr address) {
    Dwarf_Frame* frame = nullptr;
    if (dwarf_cfi_addrframe(cfi_, address, &frame) != 0) return {};
    const std::unique_ptr<Dwarf_Frame, decltype(&std::free)> owner(frame, std::free);
    Row row;
    row.exists = true;
    bool is_signal = false;
    const int return_register = dwarf_frame_info(frame, nullptr, &row.end, &is_signal);
    row.rule = is_signal ? FrameRule{FrameRule::kSignal} : rule_of(frame, return_register);
    return row;
  }

  bool is_open() const { return cfi_ != nullptr; }

 private:
  struct Expression {
    Dwarf_Op memory[3];
    Dwarf_Op* ops = nullptr;
    std::size_t count = 0;
    bool valid = false;

    bool is_undefined() const { return count == 0 && ops == memory; }
    bool is_same() const { return count == 0 && ops == nullptr; }
    bool is(std::initializer_list<int> atoms) const {
      return std::equal(ops, ops + count, atoms.begin(), atoms.end(),
                        [](const Dwarf_Op& op, int atom) { return op.atom == atom; });
    }
    std::int64_t number(std::size_t i) const { return static_cast<std::int64_t>(ops[i].number); }
  };

  static void read(Dwarf_Frame* frame, int number, Expression& e) {
    e.valid = dwarf_frame_register(frame, number, e.memory, &e.ops, &e.count) == 0;
  }

  static FrameRule rule_of(Dwarf_Frame* frame, int return_register) {
    constexpr FrameRule kComplex{FrameRule::kComplex};
    Expression ra, rsp, rbp;
    read(frame, kReturn, ra);
    read(frame, kRsp, rsp);
    read(frame, kRbp, rbp);
    if (return_register != kReturn || !ra.valid || !rsp.valid || !rbp.valid) return kComplex;
    if (ra.is_undefined()) return {FrameRule::kOutermost};
    if (!ra.is({DW_OP_call_frame_cfa, DW_OP_plus_uconst}) || ra.number(1) != -8) return kComplex;
    if (!rsp.is({DW_OP_call_frame_cfa, DW_OP_stack_value})) return kComplex;
    FrameRule rule;
    return set_cfa(frame, rule) && set_rbp(rbp, rule) ? rule : kComplex;
  }

  static bool set_cfa(Dwarf_Frame* frame, FrameRule& rule) {
    Dwarf_Op* ops = nullptr;
    std::size_t count = 0;
    if (dwarf_frame_cfa(frame, &ops, &count) != 0) return false;
    std::int64_t offset = 0;
    if (count == 1 && ops[0].atom == DW_OP_bregx && (ops[0].number == kRsp || ops[0].number == kRbp)) {
      rule.kind = ops[0].number == kRsp ? FrameRule::kFromRsp : FrameRule::kFromRbp;
      offset = static_cast<std::int64_t>(ops[0].number2);
    } else if (count == 2 && ops[0].atom == DW_OP_breg0 + kRbp && ops[1].atom == DW_OP_deref) {
      rule.kind = FrameRule::kFromSavedRbp;
      offset = static_cast<std::int64_t>(ops[0].number);
    } else {
      return false;
    }
    rule.cfa_offset = static_cast<std::int32_t>(offset);
    return rule.cfa_offset == offset;
  }

  static bool set_rbp(const Expression& rbp, FrameRule& rule) {
    std::int64_t offset = 0;
    if (rbp.is_same() || rbp.is_undefined()) return true;
    if (rbp.is({DW_OP_call_frame_cfa}) || rbp.is({DW_OP_call_frame_cfa, DW_OP_plus_uconst})) {
      rule.rbp = FrameRule::kRbpAtCfa;
      offset = rbp.count == 2 ? rbp.number(1) : 0;
    } else if (rbp.is({DW_OP_call_frame_cfa, DW_OP_breg0 + kRbp})) {
      rule.rbp = FrameRule::kRbpAtRbp;
      offset = rbp.number(1);
    } else {
      return false;
    }
    rule.rbp_offset = static_cast<std::int16_t>(offset);
    return rule.rbp_offset == offset;
  }

  Descriptor file_;
  Elf* elf_ = nullptr;
  Dwarf_CFI* cfi_ = nullptr;
};

bool same(const FrameRule& a, const FrameRule& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

struct Tally {
  std::size_t rows = 0, complex = 0, wrong = 0, gaps = 0;
  std::map<int, std::size_t> kinds;
  std::string first_wrong;
};

// Compares at the first and the last address of every row, and behind the last row of every function.
void compare_module(const LoadedModule& module, Tally& tally) {
  Oracle oracle(module.path);
  REQUIRE(oracle.is_open());
  const std::vector<std::uint64_t> starts = function_starts(module);
  const auto check = [&](std::uint64_t address, const FrameRule& want) {
    const FrameRule got = read_frame_rule(module.table_header, address);
    if (same(got, want)) return;
    if (tally.wrong++ == 0) {
      char text[200];
      std::snprintf(text, sizeof text, "%s+%#lx: kind %d cfa %d rbp %d %d, want kind %d cfa %d rbp %d %d",
                    module.path.c_str(), address - module.bias, got.kind, got.cfa_offset, got.rbp, got.rbp_offset,
                    want.kind, want.cfa_offset, want.rbp, want.rbp_offset);
      tally.first_wrong = text;
    }
  };
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::uint64_t next = i + 1 < starts.size() ? starts[i + 1] : ~std::uint64_t{0};
    for (std::uint64_t address = starts[i]; address < next;) {
      const Oracle::Row row = oracle.at(address - module.bias);
      if (!row.exists) {
        ++tally.gaps;
        check(address, {});
        break;
      }
      ++tally.rows;
      ++tally.kinds[row.rule.kind];
      tally.complex += read_frame_rule(module.table_header, address).kind == FrameRule::kComplex;
      check(address, row.rule);
      check(row.end + module.bias - 1, row.rule);
      address = row.end + module.bias;
    }
  }
}

// Complex are the PLT of each module, whose CFA is an expression, some hand-written code of libc, and a few
// instructions at the beginning of a function that aligns its stack: two or three rows in a thousand, and five of what
// g++ 14 compiles.
TEST_CASE("every unwind row of every loaded module is read as elfutils reads it") {
  std::set<std::string> seen;
  Tally all;
  for (const LoadedModule& module : loaded_modules()) {
    Tally tally;
    compare_module(module, tally);
    INFO(module.path << ": " << tally.rows << " rows, " << tally.complex << " complex, " << tally.gaps << " gaps");
    INFO(tally.first_wrong);
    CHECK(tally.wrong == 0);
    CHECK(tally.rows > 0);
    CHECK(static_cast<double>(tally.complex) <= 0.006 * static_cast<double>(tally.rows) + 10);
    seen.insert(module.path.substr(module.path.rfind('/') + 1));
    all.rows += tally.rows;
    all.complex += tally.complex;
    for (const auto& [kind, count] : tally.kinds) all.kinds[kind] += count;
  }
  for (const char* name : {"exe", "libc.so.6", "libstdc++.so.6"}) CHECK(seen.contains(name));
  // All kinds were met: otherwise the comparison would prove little.
  for (const int kind : {FrameRule::kFromRsp, FrameRule::kFromRbp, FrameRule::kFromSavedRbp, FrameRule::kSignal,
                         FrameRule::kOutermost, FrameRule::kComplex})
    CHECK(all.kinds[kind] > 0);
  CHECK(static_cast<double>(all.complex) < 0.004 * static_cast<double>(all.rows));
}

TEST_CASE("an address before the first function and one behind the last have no rule") {
  for (const LoadedModule& module : loaded_modules()) {
    const std::vector<std::uint64_t> starts = function_starts(module);
    CHECK(read_frame_rule(module.table_header, starts.front() - 1).kind == FrameRule::kNone);
    CHECK(read_frame_rule(module.table_header, starts.back() + (std::uint64_t{1} << 30)).kind == FrameRule::kNone);
    CHECK(read_frame_rule(module.table_header, 0).kind == FrameRule::kNone);
  }
}

TEST_CASE("a remembered rule is the one that the tables give, in every epoch") {
  SharedRegion region{RegionSettings{}};
  PreloadSession session(region);
  std::size_t wrong = 0;
  for (const LoadedModule& module : loaded_modules()) {
    const std::vector<std::uint64_t> starts = function_starts(module);
    for (std::size_t i = 0; i < starts.size(); i += 7) {
      const FrameRule want = read_frame_rule(module.table_header, starts[i]);
      for (const std::uint64_t epoch : {0, 0, 1, 0, 1})
        wrong += !same(session->frame_rules.find(starts[i], epoch), want);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("code outside every module has no rule") {
  SharedRegion region{RegionSettings{}};
  PreloadSession session(region);
  int on_the_stack = 0;
  for (int i = 0; i < 2; ++i)
    CHECK(session->frame_rules.find(reinterpret_cast<std::uintptr_t>(&on_the_stack), 0).kind == FrameRule::kNone);
}

// --- tables by hand ---

// One common entry and one function of 0x100 bytes with the given instructions, as the linker would lay them out.
class HandMadeTable {
 public:
  explicit HandMadeTable(const std::vector<std::uint8_t>& instructions, const std::string& augmentation = "zR") {
    put32(0);  // .eh_frame_hdr, filled in below: version and encodings, frame pointer, count, one entry
    put32(0), put32(1), put32(0), put32(0), put32(0), put32(0), put32(0);
    const std::size_t common = bytes_.size();
    put32(0);
    put32(0);
    put({1});
    for (const char letter : augmentation) put({static_cast<std::uint8_t>(letter)});
    put({0, 1, 0x78, 16});  // code alignment 1, data alignment -8, return register 16
    if (augmentation[0] == 'z') put({1, 0x1b});
    put({0x0c, 7, 8, 0x90, 1});  // CFA = rsp + 8, return address at CFA - 8
    end_entry(common);
    const std::size_t function = bytes_.size();
    put32(0);
    put32(static_cast<std::uint32_t>(function + 4 - common));
    put32(static_cast<std::uint32_t>(kStart - (function + 8)));
    put32(0x100);
    if (augmentation[0] == 'z') put({0});
    put(instructions);
    end_entry(function);
    patch(0, 0x3b031b01);
    patch(12, kStart);
    patch(16, static_cast<std::uint32_t>(function));
  }

  FrameRule at(std::uint64_t offset) const {
    return read_frame_rule(bytes_.data(), reinterpret_cast<std::uintptr_t>(bytes_.data()) + kStart + offset);
  }

 private:
  static constexpr std::uint32_t kStart = 0x10000;

  void put(const std::vector<std::uint8_t>& more) { bytes_.insert(bytes_.end(), more.begin(), more.end()); }
  void put32(std::uint32_t value) {
    bytes_.resize(bytes_.size() + 4);
    patch(bytes_.size() - 4, value);
  }
  void patch(std::size_t at, std::uint32_t value) { std::memcpy(bytes_.data() + at, &value, sizeof value); }
  void end_entry(std::size_t begin) {
    while (bytes_.size() % 4 != 0) put({0});
    patch(begin, static_cast<std::uint32_t>(bytes_.size() - begin - 4));
  }

  std::vector<std::uint8_t> bytes_;
};

TEST_CASE("a function pushes rbp and takes it as its frame pointer") {
  const HandMadeTable table({0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6});
  CHECK(same(table.at(0), {FrameRule::kFromRsp, FrameRule::kRbpSame, 0, 8}));
  CHECK(same(table.at(1), {FrameRule::kFromRsp, FrameRule::kRbpAtCfa, -16, 16}));
  CHECK(same(table.at(3), {FrameRule::kFromRsp, FrameRule::kRbpAtCfa, -16, 16}));
  CHECK(same(table.at(4), {FrameRule::kFromRbp, FrameRule::kRbpAtCfa, -16, 16}));
  CHECK(same(table.at(0xff), {FrameRule::kFromRbp, FrameRule::kRbpAtCfa, -16, 16}));
  CHECK(table.at(0x100).kind == FrameRule::kNone);
}

TEST_CASE("remembered states nest and give all back") {
  const HandMadeTable table(
      {0x0e, 16, 0x86, 2, 0x0a, 0x41, 0xc6, 0x0e, 8, 0x0a, 0x41, 0x0e, 64, 0x41, 0x0b, 0x41, 0x0b});
  CHECK(same(table.at(0), {FrameRule::kFromRsp, FrameRule::kRbpAtCfa, -16, 16}));
  CHECK(same(table.at(1), {FrameRule::kFromRsp, FrameRule::kRbpSame, 0, 8}));
  CHECK(same(table.at(2), {FrameRule::kFromRsp, FrameRule::kRbpSame, 0, 64}));
  CHECK(same(table.at(3), {FrameRule::kFromRsp, FrameRule::kRbpSame, 0, 8}));
  CHECK(same(table.at(4), {FrameRule::kFromRsp, FrameRule::kRbpAtCfa, -16, 16}));
}

TEST_CASE("a realigned stack is said with expressions of rbp") {
  const HandMadeTable table({0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0});
  CHECK(same(table.at(0), {FrameRule::kFromSavedRbp, FrameRule::kRbpAtRbp, 0, -8}));
}

TEST_CASE("what a rule cannot say is complex and not wrong") {
  for (const std::vector<std::uint8_t>& instructions :
       std::vector<std::vector<std::uint8_t>>{{0x0d, 3},                 // CFA from rbx
                                              {0x0f, 2, 0x77, 8},        // CFA by an expression of rsp
                                              {0x09, 6, 3},              // rbp is in rbx
                                              {0x14, 6, 2},              // rbp is CFA - 16 itself
                                              {0x16, 6, 2, 0x76, 0},     // rbp is the value of an expression
                                              {0x90, 3},                 // the return address is elsewhere
                                              {0x08, 16},                // the return address is where it was
                                              {0x87, 2},                 // rsp was saved
                                              {0x86, 0xff, 0xff, 0x03},  // rbp is far away
                                              {0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f}})  // a frame of 4 GiB
    CHECK(HandMadeTable(instructions).at(0).kind == FrameRule::kComplex);
}

TEST_CASE("instructions that make no sense are complex") {
  for (const std::vector<std::uint8_t>& instructions :
       std::vector<std::vector<std::uint8_t>>{{0x3f},
                                              {0x0b},
                                              {0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a},
                                              {0x0f, 0x7f, 0x76, 0x00},
                                              {0x0c, 0x80, 0x80, 0x80}})
    CHECK(HandMadeTable(instructions).at(0).kind == FrameRule::kComplex);
}

TEST_CASE("an undefined return address is the outermost frame, and the letter S a signal's") {
  CHECK(HandMadeTable({0x07, 16}).at(0).kind == FrameRule::kOutermost);
  CHECK(HandMadeTable({}, "zRS").at(0).kind == FrameRule::kSignal);
}

TEST_CASE("a table of another shape gives no rule") {
  std::uint8_t bytes[64] = {1, 0x1b, 0x03, 0x3b};
  const auto rule = [&] { return read_frame_rule(bytes, reinterpret_cast<std::uintptr_t>(bytes) + 1000).kind; };
  CHECK(rule() == FrameRule::kNone);  // no entries
  bytes[0] = 2;
  bytes[8] = 1;
  CHECK(rule() == FrameRule::kNone);
  bytes[0] = 1;
  bytes[3] = 0xff;
  CHECK(rule() == FrameRule::kNone);
}

}  // namespace
}  // namespace leakwatch::preload
