// SPDX-License-Identifier: Apache-2.0
//
// Addresses to functions, through libdw. Three sources, the best one first:
//
//   debug information   functions, all inlined ones, files and lines; in the file itself or in a separate one
//   symbol table        the function alone
//   nothing             "libfoo.so+0x1a2b", which is still the same in every run and so still subtracts
//
// libdw finds and opens the files and decodes what is in them; the searching is done here. Its own address lookups walk
// a whole unit, or a whole symbol table, each time, and find no unit at all where the compiler left .debug_aranges out
// (clang does). So each module gets sorted tables: its symbols, its units, and per unit, when first needed, its
// functions.
//
// A module's file is named by somebody else's process and may hold anything: no content may make this code throw,
// recurse without limit or loop, and a file with the wrong build id is as good as none.
#include "symbolize/symbolizer.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace leakwatch {
namespace {

// Deeper nesting than any compiler writes: a file that goes there is damaged.
constexpr int kDeepest = 256;
constexpr int kMostDetours = 4;

// Values by address ranges that may nest and overlap. Filled first, then sorted, then asked.
template <typename Value>
class RangeMap {
 public:
  struct Range {
    std::uint64_t low = 0;
    std::uint64_t high = 0;   // one past the end
    std::uint64_t reach = 0;  // the greatest `high` up to here: no range before this one covers anything beyond it
    Value value;
  };

  void add(std::uint64_t low, std::uint64_t high, Value value) {
    if (low < high) ranges_.push_back({low, high, 0, std::move(value)});
  }

  void sort() {
    std::stable_sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
    std::uint64_t reach = 0;
    for (Range& range : ranges_) range.reach = reach = std::max(reach, range.high);
  }

  // The range that begins last of those that cover the address; of several with one beginning, the one added last.
  const Range* find(std::uint64_t address) const {
    auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                 [](std::uint64_t value, const Range& range) { return value < range.low; });
    while (next != ranges_.begin()) {
      --next;
      if (address < next->high) return &*next;
      if (next->reach <= address) return nullptr;
    }
    return nullptr;
  }

  bool empty() const { return ranges_.empty(); }

 private:
  std::vector<Range> ranges_;
};

struct Symbol {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint64_t section_limit = 0;
  int binding_rank = 0;
  std::string_view name;  // in libelf's memory
};

int rank_of_binding(unsigned char info) {
  switch (GELF_ST_BIND(info)) {
    case STB_GLOBAL:
      return 2;
    case STB_WEAK:
      return 1;
    default:
      return 0;
  }
}

// By address; of several names for one address the best comes last: exported, long, and then the name that people call,
// which is the short one ("malloc", not "__libc_malloc").
bool worse(const Symbol& a, const Symbol& b) {
  return std::tuple(a.address, a.binding_rank, a.size, b.name.size(), b.name) <
         std::tuple(b.address, b.binding_rank, b.size, a.name.size(), a.name);
}

bool names_code(const GElf_Sym& symbol, const GElf_Shdr& section, std::string_view name) {
  const int type = GELF_ST_TYPE(symbol.st_info);
  if (type == STT_FUNC || type == STT_GNU_IFUNC) return true;
  // Assembly often leaves the type out. A name with a dollar sign marks data between instructions on some machines.
  return type == STT_NOTYPE && (section.sh_flags & SHF_EXECINSTR) != 0 && !name.starts_with('$');
}

// The functions of .symtab or else .dynsym, whichever libdwfl prefers of the file and its separate debug file.
class SymbolTable {
 public:
  explicit SymbolTable(Dwfl_Module* module);

  // The name of the function that covers the address; empty without one.
  std::string covering(std::uint64_t address) const;
  // The same, for a function that begins exactly there.
  std::string beginning(std::uint64_t address) const;
  bool empty() const { return sized_.empty() && sizeless_.empty(); }

 private:
  void read(std::vector<Symbol> symbols);

  RangeMap<std::string_view> sized_;
  // Assembly without a size reaches to the next symbol. Asked second: such labels also stand inside of functions.
  RangeMap<std::string_view> sizeless_;
};

std::optional<Symbol> read_symbol(Dwfl_Module* module, int index) {
  GElf_Sym symbol;
  GElf_Addr address = 0;
  GElf_Word section_index = 0;
  Elf* elf = nullptr;
  Dwarf_Addr bias = 0;
  const char* name = dwfl_module_getsym_info(module, index, &symbol, &address, &section_index, &elf, &bias);
  if (name == nullptr || *name == '\0' || section_index == SHN_UNDEF) return std::nullopt;
  GElf_Shdr header;
  if (gelf_getshdr(elf_getscn(elf, section_index), &header) == nullptr) return std::nullopt;
  if (!names_code(symbol, header, name)) return std::nullopt;
  return Symbol{address, symbol.st_size, header.sh_addr + header.sh_size + bias, rank_of_binding(symbol.st_info), name};
}

SymbolTable::SymbolTable(Dwfl_Module* module) {
  std::vector<Symbol> symbols;
  const int count = dwfl_module_getsymtab(module);
  for (int index = 1; index < count; ++index) {  // the first one is never a symbol
    if (const auto symbol = read_symbol(module, index)) symbols.push_back(*symbol);
  }
  read(std::move(symbols));
}

void SymbolTable::read(std::vector<Symbol> symbols) {
  std::sort(symbols.begin(), symbols.end(), worse);
  std::uint64_t next_address = ~std::uint64_t{0};
  for (std::size_t index = symbols.size(); index-- > 0;) {
    Symbol& symbol = symbols[index];
    if (index + 1 < symbols.size() && symbols[index + 1].address != symbol.address) {
      next_address = symbols[index + 1].address;
    }
    symbol.section_limit = std::min(symbol.section_limit, next_address);
  }
  for (const Symbol& symbol : symbols) {
    sized_.add(symbol.address, symbol.address + symbol.size, symbol.name);
    if (symbol.size == 0) sizeless_.add(symbol.address, symbol.section_limit, symbol.name);
  }
  sized_.sort();
  sizeless_.sort();
}

// "memcpy@@GLIBC_2.14" is how .symtab spells a versioned name; .dynsym and people do not.
std::string without_version(std::string_view name) {
  return std::string(name.substr(0, name.find('@')));
}

std::string SymbolTable::covering(std::uint64_t address) const {
  for (const auto* table : {&sized_, &sizeless_}) {
    if (const auto* range = table->find(address)) return without_version(range->value);
  }
  return {};
}

std::string SymbolTable::beginning(std::uint64_t address) const {
  const auto* range = sized_.find(address);
  return range != nullptr && range->low == address ? without_version(range->value) : std::string();
}

enum class Walk { kEnter, kSkip, kStop };

// Calls `visit` for the entries below `parent`, parents first. In a sound file each stands behind the one before;
// damaged references can make branches overlap, so the walk only ever moves forward, which also makes it finite.
template <typename Visit>
bool walk_below(Dwarf_Die parent, Dwarf_Off& furthest, int depth, const Visit& visit) {
  Dwarf_Die entry;
  if (depth > kDeepest || dwarf_child(&parent, &entry) != 0) return true;
  do {
    const Dwarf_Off offset = dwarf_dieoffset(&entry);
    if (offset <= furthest) return true;
    furthest = offset;
    const Walk next = visit(entry);
    if (next == Walk::kStop) return false;
    if (next == Walk::kEnter && !walk_below(entry, furthest, depth + 1, visit)) return false;
  } while (dwarf_siblingof(&entry, &entry) == 0);
  return true;
}

template <typename Visit>
void walk(Dwarf_Die root, const Visit& visit) {
  Dwarf_Off furthest = dwarf_dieoffset(&root);
  walk_below(root, furthest, 0, visit);
}

// Adds each stretch of code of `entry`. Functions that the linker discarded are left behind at or near address zero,
// where the ELF header is and never code.
template <typename Value>
void add_ranges(RangeMap<Value>& map, Dwarf_Die entry, const Value& value) {
  Dwarf_Addr base = 0;
  Dwarf_Addr low = 0;
  Dwarf_Addr high = 0;
  for (std::ptrdiff_t next = 0; (next = dwarf_ranges(&entry, next, &base, &low, &high)) > 0;) {
    if (low >= sizeof(Elf64_Ehdr)) map.add(low, high, value);
  }
}

std::string text_attribute(Dwarf_Die entry, unsigned int name) {
  Dwarf_Attribute attribute;
  const char* text = dwarf_formstring(dwarf_attr_integrate(&entry, name, &attribute));
  return text == nullptr ? std::string() : std::string(text);
}

std::uint64_t number_attribute(Dwarf_Die entry, unsigned int name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  return dwarf_formudata(dwarf_attr_integrate(&entry, name, &attribute), &value) == 0 ? value : 0;
}

std::string entry_name(Dwarf_Die entry) {
  return text_attribute(entry, DW_AT_name);
}

std::string linkage_name(Dwarf_Die entry) {
  std::string name = text_attribute(entry, DW_AT_linkage_name);
  return name.empty() ? text_attribute(entry, DW_AT_MIPS_linkage_name) : name;  // the latter before DWARF 4
}

std::optional<Dwarf_Die> referred(Dwarf_Die entry, unsigned int name) {
  Dwarf_Attribute attribute;
  Dwarf_Die target;
  if (dwarf_formref_die(dwarf_attr(&entry, name, &attribute), &target) == nullptr) return std::nullopt;
  return target;
}

// Where the function was first declared, which is the entry that stands in its class or namespace.
Dwarf_Die declaration_of(Dwarf_Die entry) {
  for (int step = 0; step < kDeepest; ++step) {
    auto next = referred(entry, DW_AT_abstract_origin);
    if (!next) next = referred(entry, DW_AT_specification);
    if (!next) break;
    entry = *next;
  }
  return entry;
}

// What an entry adds to the names of those inside of it.
std::string scope_prefix(Dwarf_Die entry) {
  switch (dwarf_tag(&entry)) {
    case DW_TAG_namespace: {
      const std::string name = entry_name(entry);
      return (name.empty() ? "(anonymous namespace)" : name) + "::";
    }
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_subprogram: {
      const std::string name = entry_name(entry);
      return name.empty() ? std::string() : name + "::";
    }
    default:
      return {};
  }
}

// The child of `parent` that is, or contains, the entry at `offset`: the last one that does not begin behind it.
std::optional<Dwarf_Die> child_towards(Dwarf_Die parent, Dwarf_Off offset) {
  std::optional<Dwarf_Die> best;
  Dwarf_Die child;
  if (dwarf_child(&parent, &child) != 0) return best;
  do {
    if (dwarf_dieoffset(&child) > offset) break;
    best = child;
  } while (dwarf_siblingof(&child, &child) == 0);
  return best;
}

bool is_declared_elsewhere(Dwarf_Die entry) {
  return dwarf_hasattr(&entry, DW_AT_specification) != 0 || dwarf_hasattr(&entry, DW_AT_abstract_origin) != 0;
}

// "namespace::Class::name". Entries do not know their parents, so the way leads down from the unit. A scope that was
// itself declared elsewhere has its own parents there; `detours` counts those, as damaged ones may lead in a circle.
std::string qualified_name(Dwarf_Die entry, int detours = 0) {
  Dwarf_Die declaration = declaration_of(entry);
  std::string name = entry_name(declaration);
  Dwarf_Die scope;
  if (name.empty() || dwarf_diecu(&declaration, &scope, nullptr, nullptr) == nullptr) return name;
  const Dwarf_Off target = dwarf_dieoffset(&declaration);
  std::string prefix;
  for (int depth = 0; depth < kDeepest; ++depth) {
    const auto child = child_towards(scope, target);
    if (!child) break;
    scope = *child;
    if (dwarf_dieoffset(&scope) == target) return prefix + name;
    if (is_declared_elsewhere(scope) && detours < kMostDetours) {
      prefix = qualified_name(scope, detours + 1) + "::";
    } else {
      prefix += scope_prefix(scope);
    }
  }
  return name;
}

// A position in the source.
struct Position {
  std::string file;
  int line = 0;
};

// The file as an absolute path, in one spelling, so that a profile has it once.
std::string absolute_file(Dwarf_Die unit, const char* file) {
  if (file == nullptr || *file == '\0') return {};
  return (std::filesystem::path(text_attribute(unit, DW_AT_comp_dir)) / file).lexically_normal();
}

Position position_at(Dwarf_Die unit, Dwarf_Addr pc) {
  Dwarf_Line* line = dwarf_getsrc_die(&unit, pc);
  int number = 0;
  if (line == nullptr || dwarf_lineno(line, &number) != 0) return {};
  return {absolute_file(unit, dwarf_linesrc(line, nullptr, nullptr)), number};
}

// Where an inlined function was called from.
Position call_site(Dwarf_Die inlined) {
  Dwarf_Die unit;
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  if (dwarf_diecu(&inlined, &unit, nullptr, nullptr) == nullptr) return {};
  if (dwarf_getsrcfiles(&unit, &files, &count) != 0) return {};
  const std::uint64_t index = number_attribute(inlined, DW_AT_call_file);
  if (index >= count) return {};
  return {absolute_file(unit, dwarf_filesrc(files, index, nullptr, nullptr)),
          static_cast<int>(number_attribute(inlined, DW_AT_call_line))};
}

bool can_hold_functions(int tag) {
  switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
      return true;
    default:
      return false;
  }
}

bool is_block(int tag) {
  return tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

bool covers(Dwarf_Die entry, Dwarf_Addr pc) {
  return dwarf_haspc(&entry, pc) > 0;
}

bool has_code_ranges(Dwarf_Die entry) {
  return dwarf_hasattr(&entry, DW_AT_ranges) != 0 || dwarf_hasattr(&entry, DW_AT_low_pc) != 0;
}

// The call inlined directly into `function` at the pc. Blocks between them are passed through, also those without code
// ranges of their own.
std::optional<Dwarf_Die> inlined_below(Dwarf_Die function, Dwarf_Addr pc) {
  std::optional<Dwarf_Die> found;
  walk(function, [&](Dwarf_Die entry) {
    const int tag = dwarf_tag(&entry);
    if (is_block(tag)) return covers(entry, pc) || !has_code_ranges(entry) ? Walk::kEnter : Walk::kSkip;
    if (tag != DW_TAG_inlined_subroutine || !covers(entry, pc)) return Walk::kSkip;
    found = entry;
    return Walk::kStop;
  });
  return found;
}

// The function and the calls inlined into it at the pc, outermost first.
std::vector<Dwarf_Die> scopes_at(Dwarf_Die function, Dwarf_Addr pc) {
  std::vector<Dwarf_Die> scopes{function};
  while (scopes.size() < kDeepest) {
    const auto inlined = inlined_below(scopes.back(), pc);
    if (!inlined) break;
    scopes.push_back(*inlined);
  }
  return scopes;
}

// One compilation unit; its functions are listed when first needed.
class Unit {
 public:
  explicit Unit(Dwarf_Die entry) : entry_(entry) {}

  Dwarf_Die entry() const { return entry_; }
  std::optional<Dwarf_Die> function_at(Dwarf_Addr pc);

 private:
  Dwarf_Die body() const;
  void list_functions();

  Dwarf_Die entry_;
  bool listed_ = false;
  RangeMap<Dwarf_Die> functions_;
};

// With -gsplit-dwarf the functions are in another file, and this entry is only their skeleton.
Dwarf_Die Unit::body() const {
  Dwarf_Die split;
  std::uint8_t type = 0;
  const int result = dwarf_cu_info(entry_.cu, nullptr, &type, nullptr, &split, nullptr, nullptr, nullptr);
  return result == 0 && type == DW_UT_skeleton && split.addr != nullptr ? split : entry_;
}

void Unit::list_functions() {
  walk(body(), [this](Dwarf_Die entry) {
    const int tag = dwarf_tag(&entry);
    if (tag == DW_TAG_subprogram) add_ranges(functions_, entry, entry);
    return can_hold_functions(tag) ? Walk::kEnter : Walk::kSkip;
  });
  functions_.sort();
}

std::optional<Dwarf_Die> Unit::function_at(Dwarf_Addr pc) {
  if (!std::exchange(listed_, true)) list_functions();
  const auto* range = functions_.find(pc);
  return range == nullptr ? std::nullopt : std::optional(range->value);
}

struct FunctionName {
  std::string function;
  std::string system_name;
  int start_line = 0;
};

// A module's debug information. Addresses are those of the debug information itself.
class DebugInformation {
 public:
  // `symbols` name the functions that the compiler gave no linkage name; they stand `bias` above ours.
  DebugInformation(Dwarf* dwarf, const SymbolTable& symbols, Dwarf_Addr bias);

  // Innermost first. Empty when no unit covers the pc; one frame without a name when its unit has only lines for it.
  std::vector<Frame> frames(Dwarf_Addr pc);
  bool empty() const { return unit_by_pc_.empty(); }

 private:
  const FunctionName& name_of(Dwarf_Die scope);
  std::string find_system_name(Dwarf_Die entry) const;

  const SymbolTable& symbols_;
  Dwarf_Addr bias_;
  std::vector<Unit> units_;
  RangeMap<std::size_t> unit_by_pc_;
  std::unordered_map<const void*, FunctionName> names_;  // by the entry's bytes in memory
};

DebugInformation::DebugInformation(Dwarf* dwarf, const SymbolTable& symbols, Dwarf_Addr bias)
    : symbols_(symbols), bias_(bias) {
  if (dwarf == nullptr) return;
  Dwarf_CU* unit = nullptr;
  Dwarf_Die entry;
  while (dwarf_get_units(dwarf, unit, &unit, nullptr, nullptr, &entry, nullptr) == 0) {
    add_ranges(unit_by_pc_, entry, units_.size());
    units_.emplace_back(entry);
  }
  unit_by_pc_.sort();
}

// Compilers leave the linkage name out for a function with internal linkage and with -g1. Its symbol has it then, if it
// was not inlined.
std::string DebugInformation::find_system_name(Dwarf_Die entry) const {
  std::string linkage = linkage_name(entry);
  if (!linkage.empty()) return linkage;
  Dwarf_Addr begin = 0;
  if (dwarf_entrypc(&entry, &begin) == 0) {
    std::string symbol = symbols_.beginning(begin + bias_);
    if (demangle(symbol) != symbol) return symbol;
  }
  return qualified_name(entry);
}

const FunctionName& DebugInformation::name_of(Dwarf_Die scope) {
  // All places where a function was inlined share its origin, and so the work.
  const bool is_inlined = dwarf_tag(&scope) == DW_TAG_inlined_subroutine;
  Dwarf_Die entry = is_inlined ? referred(scope, DW_AT_abstract_origin).value_or(scope) : scope;
  const auto [position, is_new] = names_.try_emplace(entry.addr);
  FunctionName& name = position->second;
  if (!is_new) return name;
  name.system_name = find_system_name(entry);
  if (name.system_name.empty() && is_inlined) name.system_name = "[inlined]";
  name.function = demangle(name.system_name);
  if (dwarf_decl_line(&entry, &name.start_line) != 0) name.start_line = 0;
  return name;
}

std::vector<Frame> DebugInformation::frames(Dwarf_Addr pc) {
  const auto* range = unit_by_pc_.find(pc);
  if (range == nullptr) return {};
  Unit& unit = units_[range->value];
  Position position = position_at(unit.entry(), pc);
  const auto function = unit.function_at(pc);
  if (!function) return {Frame{{}, {}, position.file, position.line, 0}};

  std::vector<Frame> frames;
  const std::vector<Dwarf_Die> scopes = scopes_at(*function, pc);
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
    const FunctionName& name = name_of(*scope);
    frames.push_back({name.function, name.system_name, position.file, position.line, name.start_line});
    position = call_site(*scope);  // which is where the next one out stands
  }
  return frames;
}

struct SessionDeleter {
  void operator()(Dwfl* session) const { dwfl_end(session); }
};
using Session = std::unique_ptr<Dwfl, SessionDeleter>;

// Our kernel's code page, from our own memory: it is the same in every process of this machine.
std::string read_own_vdso() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with("[vdso]")) continue;
    char* rest = nullptr;
    const std::uint64_t start = std::strtoull(line.c_str(), &rest, 16);
    const std::uint64_t limit = std::strtoull(rest + 1, nullptr, 16);         // "start-limit r-xp …"
    return std::string(reinterpret_cast<const char*>(start), limit - start);  // NOLINT(performance-no-int-to-ptr)
  }
  return {};
}

// A descriptor of a regular file, or -1. Never waits, as opening somebody's pipe would.
int open_regular(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  struct stat status = {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
  close(fd);
  return -1;
}

std::string hexadecimal(const unsigned char* bytes, int count) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (int index = 0; index < count; ++index) {
    text += kDigits[bytes[index] >> 4U];
    text += kDigits[bytes[index] & 15U];
  }
  return text;
}

// libdwfl's view of one module, placed at the file's own addresses where that can be chosen.
class ModuleFiles {
 public:
  ModuleFiles(const Dwfl_Callbacks& callbacks, const std::string& root, const Module& module);

  Dwfl_Module* handle() const { return handle_; }  // null when there is no file to use
  Dwarf_Addr bias() const { return bias_; }        // libdwfl's addresses minus the file's

 private:
  void report_vdso();
  void report_file(const std::string& path);
  std::string build_id() const;

  std::string vdso_;  // read by the session, so it goes after it
  Session session_;
  Dwfl_Module* handle_ = nullptr;
  Dwarf_Addr bias_ = 0;
};

ModuleFiles::ModuleFiles(const Dwfl_Callbacks& callbacks, const std::string& root, const Module& module)
    : session_(dwfl_begin(&callbacks)) {
  if (session_ == nullptr) return;
  const bool is_vdso = module.path == "[vdso]";
  dwfl_report_begin(session_.get());
  if (is_vdso) {
    report_vdso();
  } else {
    report_file(root + module.path);
  }
  dwfl_report_end(session_.get(), nullptr, nullptr);
  if (handle_ == nullptr || dwfl_module_getelf(handle_, &bias_) == nullptr) {
    handle_ = nullptr;
    return;
  }
  // The file may have been replaced since it was mapped; the vDSO may be another kernel's unless it says otherwise.
  const bool may_be_unknown = module.build_id.empty() && !is_vdso;
  if (!may_be_unknown && build_id() != module.build_id) handle_ = nullptr;
}

void ModuleFiles::report_vdso() {
  vdso_ = read_own_vdso();
  if (vdso_.empty()) return;
  handle_ = dwfl_report_offline_memory(session_.get(), "[vdso]", "[vdso]", vdso_.data(), vdso_.size());
}

void ModuleFiles::report_file(const std::string& path) {
  const int fd = open_regular(path);
  if (fd < 0) return;
  handle_ = dwfl_report_elf(session_.get(), path.c_str(), path.c_str(), fd, 0, true);
  if (handle_ == nullptr) close(fd);  // otherwise it is the library's now
}

std::string ModuleFiles::build_id() const {
  const unsigned char* bytes = nullptr;
  GElf_Addr address = 0;
  const int count = dwfl_module_build_id(handle_, &bytes, &address);
  return hexadecimal(bytes, count);
}

Dwarf* dwarf_of(Dwfl_Module* module, Dwarf_Addr& bias) {
  return dwfl_module_getdwarf(module, &bias);
}

// A module with everything that is known of it.
class OpenModule {
 public:
  explicit OpenModule(Dwfl_Module* module, Dwarf_Addr bias)
      : bias_(bias), symbols_(module), dwarf_(dwarf_of(module, dwarf_bias_)), debug_(dwarf_, symbols_, dwarf_bias_) {}
  OpenModule(const OpenModule&) = delete;
  OpenModule& operator=(const OpenModule&) = delete;

  // As Symbolizer::resolve, but may be empty, or lack the outermost name.
  std::vector<Frame> frames(std::uint64_t address);
  SymbolSource source() const { return {!symbols_.empty() || !debug_.empty(), !debug_.empty()}; }

 private:
  Dwarf_Addr bias_;
  Dwarf_Addr dwarf_bias_ = 0;
  SymbolTable symbols_;
  Dwarf* dwarf_;
  DebugInformation debug_;
};

std::vector<Frame> OpenModule::frames(std::uint64_t address) {
  address += bias_;
  std::vector<Frame> frames = debug_.frames(address - dwarf_bias_);
  if (frames.empty()) frames.emplace_back();
  Frame& outermost = frames.back();
  if (outermost.system_name.empty()) {
    outermost.system_name = symbols_.covering(address);
    outermost.function = demangle(outermost.system_name);
  }
  return frames;
}

std::string last_resort_name(const Module& module, std::uint64_t address) {
  std::string name = module.path.substr(module.path.find_last_of('/') + 1);
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), address, 16).ptr;
  return (name.empty() ? "[unknown]" : name) + "+0x" + std::string(digits.data(), end);
}

// For libdwfl, which asks for a main file only where it was given none. It is always given one.
int find_no_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) {
  return -1;
}

// Debug files of a process with a root of its own are in that root, unless they were only installed in ours.
std::string debug_path_of(const SymbolizerOptions& options) {
  if (!options.debug_path.empty() || options.root.empty()) return options.debug_path;
  return ":.debug:" + options.root + "/usr/lib/debug:/usr/lib/debug";
}

}  // namespace

class Symbolizer::Impl {
 public:
  explicit Impl(SymbolizerOptions options) : debug_path_(debug_path_of(options)), root_(std::move(options.root)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::vector<Frame> resolve(const Module& module, std::uint64_t address);
  SymbolSource source(const Module& module);

 private:
  struct Entry {
    std::unique_ptr<ModuleFiles> files;
    std::unique_ptr<OpenModule> open;  // null when there is no file to use
  };

  OpenModule* open(const Module& module);

  std::string debug_path_;
  std::string root_;
  char* debug_path_text_ = debug_path_.empty() ? nullptr : debug_path_.data();  // null: the library's default
  Dwfl_Callbacks callbacks_ = {find_no_file, dwfl_standard_find_debuginfo, dwfl_offline_section_address,
                               &debug_path_text_};
  std::unordered_map<std::string, Entry> modules_;  // failures are remembered too
};

OpenModule* Symbolizer::Impl::open(const Module& module) {
  const auto [position, is_new] = modules_.try_emplace(module_identity(module));
  Entry& entry = position->second;
  if (is_new) {
    entry.files = std::make_unique<ModuleFiles>(callbacks_, root_, module);
    Dwfl_Module* handle = entry.files->handle();
    if (handle != nullptr) entry.open = std::make_unique<OpenModule>(handle, entry.files->bias());
  }
  return entry.open.get();
}

std::vector<Frame> Symbolizer::Impl::resolve(const Module& module, std::uint64_t address) {
  OpenModule* found = open(module);
  std::vector<Frame> frames;
  if (found != nullptr) frames = found->frames(address);
  if (frames.empty()) frames.emplace_back();
  Frame& outermost = frames.back();
  if (outermost.system_name.empty()) outermost.function = outermost.system_name = last_resort_name(module, address);
  return frames;
}

SymbolSource Symbolizer::Impl::source(const Module& module) {
  const OpenModule* found = open(module);
  return found == nullptr ? SymbolSource{} : found->source();
}

Symbolizer::Symbolizer(SymbolizerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Symbolizer::~Symbolizer() = default;

std::vector<Frame> Symbolizer::resolve(const Module& module, std::uint64_t address) {
  return impl_->resolve(module, address);
}

SymbolSource Symbolizer::source(const Module& module) {
  return impl_->source(module);
}

}  // namespace leakwatch
