// SPDX-License-Identifier: Apache-2.0
//
// See the header. libdwfl walks a whole table for each address; here it is sorted once.

#include "symbolize/symbol_table.h"

#include <elf.h>
#include <gelf.h>

#include <algorithm>
#include <optional>
#include <tuple>

namespace leakwatch {

struct SymbolTable::Symbol {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint64_t section_limit = 0;
  int binding_rank = 0;
  std::string_view name;  // in libelf's memory
};

namespace {

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

bool names_code(const GElf_Sym& symbol, const GElf_Shdr& section, std::string_view name) {
  const int type = GELF_ST_TYPE(symbol.st_info);
  if (type == STT_FUNC || type == STT_GNU_IFUNC) return true;
  // Assembly often leaves the type out. A name with a dollar sign marks data between instructions on some machines.
  return type == STT_NOTYPE && (section.sh_flags & SHF_EXECINSTR) != 0 && !name.starts_with('$');
}

// "memcpy@@GLIBC_2.14" is how .symtab spells a versioned name; .dynsym and people do not.
std::string without_version(std::string_view name) {
  return std::string(name.substr(0, name.find('@')));
}

}  // namespace

// By address; of several names for one address the best comes last: exported, long, and then the name that people call,
// which is the short one ("malloc", not "__libc_malloc").
bool SymbolTable::worse(const Symbol& a, const Symbol& b) {
  return std::tuple(a.address, a.binding_rank, a.size, b.name.size(), b.name) <
         std::tuple(b.address, b.binding_rank, b.size, a.name.size(), a.name);
}

SymbolTable::SymbolTable(Dwfl_Module* module) {
  take(read_all(module));
}

std::vector<SymbolTable::Symbol> SymbolTable::read_all(Dwfl_Module* module) {
  std::vector<Symbol> symbols;
  const int count = dwfl_module_getsymtab(module);
  for (int index = 1; index < count; ++index) {  // the first one is never a symbol
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section_index = 0;
    Elf* elf = nullptr;
    Dwarf_Addr bias = 0;
    const char* name = dwfl_module_getsym_info(module, index, &symbol, &address, &section_index, &elf, &bias);
    GElf_Shdr header;
    if (name == nullptr || *name == '\0' || section_index == SHN_UNDEF ||
        gelf_getshdr(elf_getscn(elf, section_index), &header) == nullptr || !names_code(symbol, header, name))
      continue;
    symbols.push_back(
        {address, symbol.st_size, header.sh_addr + header.sh_size + bias, rank_of_binding(symbol.st_info), name});
  }
  return symbols;
}

void SymbolTable::take(std::vector<Symbol> symbols) {
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

}  // namespace leakwatch
