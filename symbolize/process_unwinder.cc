// SPDX-License-Identifier: Apache-2.0
//
// See the header. The work of a step is one look-up of the module and one of the row; both are kept.

#include "symbolize/process_unwinder.h"

#include <dwarf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "symbolize/mapped_elf.h"
#include "symbolize/process_maps.h"

namespace leakwatch {

namespace {

constexpr std::string_view kDeleted = " (deleted)";

std::string without_deleted(std::string path) {
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

std::string executable_name(pid_t pid) {
  std::array<char, 4096> target{};
  const ssize_t size = readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), target.data(), target.size());
  return {target.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

// A failed evaluation: what was missing for it.
struct Missing {
  UnwindEnd end = UnwindEnd::kUnknownCaller;
  std::uint64_t address = 0;
};

// One frame's rules, applied to its registers.
class FrameEvaluator {
 public:
  FrameEvaluator(const CallFrameTable& table, const MachineRegisters& registers, const StackCopy& stack)
      : table_(table), registers_(registers), stack_(stack) {}

  const Missing& missing() const { return missing_; }
  std::uint64_t cfa() const { return cfa_; }
  std::uint64_t reach() const { return reach_; }

  bool find_cfa(const FrameRow& row) {
    const auto value = apply(row.cfa, 0);
    cfa_ = value.value_or(0);
    return value.has_value();
  }

  std::optional<std::uint64_t> apply(const FrameRule& rule, int number);

 private:
  using Stack = std::vector<std::uint64_t>;

  std::optional<std::uint64_t> fail(Missing missing) {
    missing_ = missing;
    return std::nullopt;
  }
  std::optional<std::uint64_t> register_value(std::uint64_t number);
  std::optional<std::uint64_t> memory(std::uint64_t address);
  std::optional<std::uint64_t> evaluate(const CallFrameTable::Expression& expression);
  std::optional<std::uint64_t> produce(const Dwarf_Op& operation, Stack& stack);

  const CallFrameTable& table_;
  const MachineRegisters& registers_;
  const StackCopy& stack_;
  std::uint64_t cfa_ = 0;
  std::uint64_t reach_ = 0;
  Missing missing_;
};

std::optional<std::uint64_t> FrameEvaluator::register_value(std::uint64_t number) {
  if (number >= MachineRegisters::kCount) return fail({});
  const int index = static_cast<int>(number);
  if (!registers_.knows(index)) return fail({UnwindEnd::kRegisterUnknown, 0});
  return registers_.get(index);
}

std::optional<std::uint64_t> FrameEvaluator::memory(std::uint64_t address) {
  std::uint64_t value = 0;
  if (!stack_.read(address, value)) return fail({UnwindEnd::kMemoryUnknown, address});
  reach_ = std::max(reach_, address + sizeof value);
  return value;
}

std::optional<std::uint64_t> FrameEvaluator::apply(const FrameRule& rule, int number) {
  const auto offset = static_cast<std::uint64_t>(rule.offset);  // wraps as the machine does
  switch (rule.kind) {
    case FrameRule::Kind::kUndefined:
      return fail({UnwindEnd::kOutermost, 0});
    case FrameRule::Kind::kSameValue:
      return register_value(static_cast<std::uint64_t>(number));
    case FrameRule::Kind::kAtCfa:
      return memory(cfa_ + offset);
    case FrameRule::Kind::kCfaPlus:
      return cfa_ + offset;
    case FrameRule::Kind::kRegisterPlus: {
      const auto value = register_value(static_cast<std::uint64_t>(rule.number));
      return value ? std::optional(*value + offset) : std::nullopt;
    }
    case FrameRule::Kind::kExpression: {
      const auto address = evaluate(table_.expression(rule.number));
      return address ? memory(*address) : std::nullopt;
    }
    case FrameRule::Kind::kValueExpression:
      return evaluate(table_.expression(rule.number));
  }
  return fail({});
}

// libdw writes the push of the frame address that a register's expression begins with into it.
std::optional<std::uint64_t> FrameEvaluator::evaluate(const CallFrameTable::Expression& expression) {
  Stack stack;
  for (const Dwarf_Op& operation : expression) {
    const auto value = produce(operation, stack);
    if (!value) return std::nullopt;
    stack.push_back(*value);
  }
  return stack.empty() ? fail({}) : std::optional(stack.back());
}

// The operations that compilers and libraries write into unwind information, of which each leaves one value.
std::optional<std::uint64_t> FrameEvaluator::produce(const Dwarf_Op& operation, Stack& stack) {
  const unsigned int atom = operation.atom;
  if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31) return atom - DW_OP_lit0;
  if (atom >= DW_OP_const1u && atom <= DW_OP_consts) return operation.number;
  if (atom == DW_OP_call_frame_cfa) return cfa_;
  if ((atom >= DW_OP_breg0 && atom <= DW_OP_breg31) || atom == DW_OP_bregx) {
    const bool is_named = atom == DW_OP_bregx;
    const auto value = register_value(is_named ? operation.number : atom - DW_OP_breg0);
    return value ? std::optional(*value + (is_named ? operation.number2 : operation.number)) : std::nullopt;
  }
  if (stack.empty()) return fail({});
  const std::uint64_t top = stack.back();
  if (atom == DW_OP_dup) return top;
  stack.pop_back();
  if (atom == DW_OP_deref) return memory(top);
  if (atom == DW_OP_plus_uconst) return top + operation.number;
  if (stack.empty()) return fail({});
  const std::uint64_t below = stack.back();
  stack.pop_back();
  switch (atom) {
    case DW_OP_plus:
      return below + top;
    case DW_OP_minus:
      return below - top;
    case DW_OP_and:
      return below & top;
    case DW_OP_or:
      return below | top;
    case DW_OP_shl:
      return top < 64 ? below << top : 0;
    case DW_OP_ge:
      return static_cast<std::int64_t>(below) >= static_cast<std::int64_t>(top) ? 1 : 0;
    default:
      return fail({});
  }
}

}  // namespace

bool StackCopy::read(std::uint64_t address, std::uint64_t& value) const {
  const char* bytes = find(address, sizeof value);
  if (bytes == nullptr) return false;
  std::memcpy(&value, bytes, sizeof value);
  return true;
}

const char* StackCopy::find(std::uint64_t address, std::uint64_t size) const {
  for (const Stretch& stretch : stretches_) {
    const std::uint64_t offset = address - stretch.address;  // huge when it is below
    if (offset < stretch.bytes.size() && size <= stretch.bytes.size() - offset) return stretch.bytes.data() + offset;
  }
  return nullptr;
}

bool StackCopy::agrees(const StackCopy& other, std::uint64_t start, std::uint64_t limit) const {
  if (limit <= start) return false;
  const char* ours = find(start, limit - start);
  const char* theirs = other.find(start, limit - start);
  return ours != nullptr && theirs != nullptr && std::memcmp(ours, theirs, limit - start) == 0;
}

StackCopy StackCopy::portion(std::uint64_t start, std::uint64_t limit) const {
  StackCopy result;
  const char* bytes = start < limit ? find(start, limit - start) : nullptr;
  if (bytes != nullptr) result.add(start, {bytes, bytes + (limit - start)});
  return result;
}

class ProcessUnwinder::Impl {
 public:
  Impl(pid_t pid, std::string root) : files_{pid, std::move(root)} {}

  bool refresh(pid_t thread);
  bool refresh() { return refresh(files_.pid); }
  const std::vector<Module>& modules() const { return modules_; }
  const std::vector<MemoryMapping>& mappings() const { return mappings_; }
  UnwoundStack unwind(MachineRegisters registers, const StackCopy& stack, std::size_t max_depth);

 private:
  // Executable bytes of a module that are mapped now.
  struct Code {
    std::uint64_t start = 0;
    std::uint64_t limit = 0;
    std::uint32_t module = 0;
    std::uint64_t bias = 0;
    MappedElf* file = nullptr;
  };
  // One loading of one file, as it is found again at a later refresh: path, build id, bias.
  using Load = std::tuple<std::string, std::string, std::uint64_t>;
  using FileKey = std::tuple<std::string, std::string, std::uint64_t>;  // name, device, inode

  void begin_anew_after_exec(const std::string& executable);
  void add_main_executable(const std::string& executable);
  void add_code(const MemoryMapping& mapping);
  void forget_unmapped_files();
  MappedElf& file_of(const MemoryMapping& mapping);
  const Code* code_at(std::uint64_t address) const;
  std::uint64_t code_address(std::uint64_t return_address) const;
  bool step(MachineRegisters& registers, const Code& code, const FrameRow& row, const StackCopy& stack,
            UnwoundStack& result) const;

  ProcessFiles files_;
  std::string maps_text_;
  std::vector<MemoryMapping> mappings_;
  std::vector<Module> modules_;
  std::vector<Code> codes_;  // by rising address
  std::map<Load, std::uint32_t> module_by_load_;
  std::map<FileKey, std::unique_ptr<MappedElf>> mapped_files_;
};

bool ProcessUnwinder::Impl::refresh(pid_t thread) {
  files_.pid = thread;
  std::string text = read_maps_text(files_.pid);
  if (text.empty()) return false;
  if (text == maps_text_) return true;
  maps_text_ = std::move(text);
  mappings_ = parse_maps(maps_text_);
  const std::string executable = executable_name(files_.pid);
  begin_anew_after_exec(executable);
  codes_.clear();
  forget_unmapped_files();
  add_main_executable(executable);
  for (const MemoryMapping& mapping : mappings_) {
    if (mapping.executable && mapping.name != executable) add_code(mapping);
  }
  std::sort(codes_.begin(), codes_.end(), [](const Code& a, const Code& b) { return a.start < b.start; });
  return true;
}

// Another program stands elsewhere or is another file; addresses of the old one mean nothing any more.
void ProcessUnwinder::Impl::begin_anew_after_exec(const std::string& executable) {
  if (modules_.empty()) return;
  const Module& main = modules_.front();
  if (!main.segments.empty()) {
    const MemoryMapping* mapping = find_mapping(mappings_, main.segments.front().start);
    if (mapping != nullptr && mapping->executable && without_deleted(mapping->name) == main.path &&
        without_deleted(executable) == main.path) {
      return;
    }
  }
  modules_.clear();
  module_by_load_.clear();
  mapped_files_.clear();
}

void ProcessUnwinder::Impl::add_main_executable(const std::string& executable) {
  for (const MemoryMapping& mapping : mappings_) {
    if (mapping.executable && mapping.name == executable) add_code(mapping);
  }
  if (modules_.empty()) modules_.push_back({without_deleted(executable), {}, 0, {}});  // keeps its place in any case
}

MappedElf& ProcessUnwinder::Impl::file_of(const MemoryMapping& mapping) {
  auto& file = mapped_files_[{mapping.name, mapping.device, mapping.inode}];
  if (file == nullptr) file = std::make_unique<MappedElf>(files_, mappings_, mapping);
  return *file;
}

// Another file can get the same name and inode later.
void ProcessUnwinder::Impl::forget_unmapped_files() {
  std::set<const MappedElf*> mapped;
  for (const MemoryMapping& mapping : mappings_) {
    const auto file = mapped_files_.find({mapping.name, mapping.device, mapping.inode});
    if (mapping.executable && file != mapped_files_.end()) mapped.insert(file->second.get());
  }
  std::erase_if(mapped_files_, [&](const auto& entry) { return !mapped.contains(entry.second.get()); });
}

void ProcessUnwinder::Impl::add_code(const MemoryMapping& mapping) {
  if (mapping.inode == 0 && mapping.name != "[vdso]") return;  // generated code
  MappedElf& file = file_of(mapping);
  const auto bias = file.bias(mapping);
  if (!bias) return;
  const std::string path = without_deleted(mapping.name);
  const auto [place, is_new] =
      module_by_load_.try_emplace(Load{path, file.build_id(), *bias}, static_cast<std::uint32_t>(modules_.size()));
  if (is_new) modules_.push_back({path, file.build_id(), *bias, {}});
  auto& segments = modules_[place->second].segments;
  const Segment segment{mapping.start, mapping.limit, mapping.file_offset};
  if (std::find(segments.begin(), segments.end(), segment) == segments.end()) segments.push_back(segment);
  codes_.push_back({mapping.start, mapping.limit, place->second, *bias, &file});
}

const ProcessUnwinder::Impl::Code* ProcessUnwinder::Impl::code_at(std::uint64_t address) const {
  const auto next = std::upper_bound(codes_.begin(), codes_.end(), address,
                                     [](std::uint64_t value, const Code& code) { return value < code.start; });
  if (next == codes_.begin()) return nullptr;
  const Code& code = *std::prev(next);
  return address < code.limit ? &code : nullptr;
}

// A signature is in the bits above those which any address of the process has.
std::uint64_t ProcessUnwinder::Impl::code_address(std::uint64_t return_address) const {
  if (!MachineRegisters::kHasLinkRegister || mappings_.empty()) return return_address;
  return return_address & (std::bit_ceil(mappings_.back().limit) - 1);
}

UnwoundStack ProcessUnwinder::Impl::unwind(MachineRegisters registers, const StackCopy& stack, std::size_t max_depth) {
  UnwoundStack result;
  bool is_exact = true;
  while (true) {
    if (registers.pc() == 0) {
      result.end = UnwindEnd::kOutermost;
      return result;
    }
    if (result.frames.size() >= max_depth) {
      result.end = UnwindEnd::kDepthLimit;
      return result;
    }
    const std::uint64_t address = registers.pc() - (is_exact ? 0 : 1);
    const Code* code = code_at(address);
    result.frames.push_back({address, code == nullptr ? UnwoundFrame::kNoModule : code->module});
    const FrameRow* row = code == nullptr ? nullptr : code->file->call_frames().row(address - code->bias);
    if (row == nullptr) {
      result.end = UnwindEnd::kUnknownCaller;
      return result;
    }
    if (!step(registers, *code, *row, stack, result)) return result;
    is_exact = row->is_signal;
  }
}

// From a frame to its caller. A register that cannot be found is unknown from there on, which is no failure until a
// frame asks for it.
bool ProcessUnwinder::Impl::step(MachineRegisters& registers, const Code& code, const FrameRow& row,
                                 const StackCopy& stack, UnwoundStack& result) const {
  FrameEvaluator evaluator(code.file->call_frames(), registers, stack);
  const auto end_here = [&] {
    result.end = evaluator.missing().end;
    result.missing = evaluator.missing().address;
    return false;
  };
  const auto& return_rule = row.registers[MachineRegisters::kReturnAddress];
  if (return_rule.kind == FrameRule::Kind::kUndefined) {
    result.end = UnwindEnd::kOutermost;
    return false;
  }
  if (!evaluator.find_cfa(row)) return end_here();
  // Stacks grow down, but a signal may have changed from one to another. vfork's frame is empty: it keeps the return
  // address in a register, as parent and child share the stack. So is that of any function which calls none, where the
  // return address comes in a register.
  const bool is_empty = evaluator.cfa() == registers.stack_pointer();
  const bool is_kept = return_rule.kind == FrameRule::Kind::kRegisterPlus ||
                       (MachineRegisters::kHasLinkRegister && return_rule.kind == FrameRule::Kind::kSameValue);
  const bool may_be_empty = result.frames.size() == 1 && is_kept;
  if (!row.is_signal && (evaluator.cfa() < registers.stack_pointer() || (is_empty && !may_be_empty))) {
    result.end = UnwindEnd::kUnknownCaller;
    return false;
  }
  MachineRegisters caller;
  for (int number = 0; number <= MachineRegisters::kLastWithRule; ++number) {
    const auto value = evaluator.apply(row.registers[static_cast<std::size_t>(number)], number);
    if (value) caller.set(number, *value);
    if (number == MachineRegisters::kReturnAddress && !value) return end_here();
    if (!value && evaluator.missing().end == UnwindEnd::kMemoryUnknown) return end_here();
  }
  if (!caller.knows(MachineRegisters::kStackPointer)) return end_here();
  caller.set(MachineRegisters::kPc, code_address(caller.get(MachineRegisters::kReturnAddress)));
  if (!row.is_signal) result.reach = std::max(result.reach, evaluator.reach());
  registers = caller;
  return true;
}

ProcessUnwinder::ProcessUnwinder(pid_t pid, std::string root) : impl_(std::make_unique<Impl>(pid, std::move(root))) {}
ProcessUnwinder::~ProcessUnwinder() = default;

bool ProcessUnwinder::refresh(pid_t thread) {
  return impl_->refresh(thread);
}

bool ProcessUnwinder::refresh() {
  return impl_->refresh();
}

const std::vector<Module>& ProcessUnwinder::modules() const {
  return impl_->modules();
}

std::uint64_t ProcessUnwinder::mapping_limit(std::uint64_t address) const {
  const MemoryMapping* mapping = find_mapping(impl_->mappings(), address);
  return mapping == nullptr ? 0 : mapping->limit;
}

UnwoundStack ProcessUnwinder::unwind(const MachineRegisters& registers, const StackCopy& stack, std::size_t max_depth) {
  return impl_->unwind(registers, stack, max_depth);
}

}  // namespace leakwatch
