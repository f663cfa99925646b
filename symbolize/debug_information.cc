// SPDX-License-Identifier: Apache-2.0
//
// See the header. libdw's own look-ups walk a whole unit each time, and find no unit at all where the compiler left
// .debug_aranges out (clang does). So the units are sorted once, and per unit, when first needed, its functions. No
// content of a file may make this recurse without limit or loop.

#include "symbolize/debug_information.h"

#include <dwarf.h>

#include <filesystem>
#include <utility>

namespace leakwatch {

namespace {

// Deeper nesting than any compiler writes: a file that goes there is damaged.
constexpr int kDeepest = 256;
constexpr int kMostDetours = 4;

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

}  // namespace

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

}  // namespace leakwatch
