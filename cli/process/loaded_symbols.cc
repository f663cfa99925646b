// SPDX-License-Identifier: Apache-2.0
//
// See the header. The number of symbols is stated nowhere in what is mapped; it follows from the hash tables (generic
// ABI, "Hash Table", and the GNU one, in which the last symbol of each chain has its lowest bit set).

#include "cli/process/loaded_symbols.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

constexpr std::uint64_t kMostSymbols = std::uint64_t{1} << 20U;
constexpr std::uint64_t kMostStrings = std::uint64_t{64} << 20U;
constexpr std::size_t kMostHeaders = 64;
constexpr std::size_t kMostDynamicEntries = 512;

class ProcessReader {
 public:
  explicit ProcessReader(pid_t pid) : pid_(pid) {}

  // All `count` of them, or nothing.
  template <typename Record>
  std::vector<Record> read(std::uint64_t address, std::uint64_t count) const {
    std::vector<Record> records(count);
    const std::size_t size = count * sizeof(Record);
    if (read_process_memory(pid_, address, records.data(), size) != size) records.clear();
    return records;
  }

  template <typename Record>
  std::optional<Record> read_one(std::uint64_t address) const {
    Record record;
    if (read_process_memory(pid_, address, &record, sizeof record) != sizeof record) return std::nullopt;
    return record;
  }

 private:
  pid_t pid_;
};

struct DynamicTables {
  std::uint64_t symbols = 0;
  std::uint64_t strings = 0;
  std::uint64_t strings_size = 0;
  std::uint64_t gnu_hash = 0;
  std::uint64_t hash = 0;
  std::uint64_t soname = 0;
};

// The loader writes run-time addresses over most of these pointers, but not over those of every object.
std::uint64_t at_run_time(std::uint64_t pointer, std::uint64_t bias) {
  return pointer < bias ? pointer + bias : pointer;
}

DynamicTables read_dynamic(const ProcessReader& reader, const Elf64_Phdr& segment, std::uint64_t bias) {
  DynamicTables tables;
  const std::uint64_t count = std::min<std::uint64_t>(segment.p_memsz / sizeof(Elf64_Dyn), kMostDynamicEntries);
  for (const Elf64_Dyn& entry : reader.read<Elf64_Dyn>(segment.p_vaddr + bias, count)) {
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_SYMTAB) tables.symbols = at_run_time(entry.d_un.d_ptr, bias);
    if (entry.d_tag == DT_STRTAB) tables.strings = at_run_time(entry.d_un.d_ptr, bias);
    if (entry.d_tag == DT_GNU_HASH) tables.gnu_hash = at_run_time(entry.d_un.d_ptr, bias);
    if (entry.d_tag == DT_HASH) tables.hash = at_run_time(entry.d_un.d_ptr, bias);
    if (entry.d_tag == DT_STRSZ) tables.strings_size = std::min<std::uint64_t>(entry.d_un.d_val, kMostStrings);
    if (entry.d_tag == DT_SONAME) tables.soname = entry.d_un.d_val;
  }
  return tables;
}

std::uint64_t count_by_gnu_hash(const ProcessReader& reader, std::uint64_t table) {
  struct Header {
    std::uint32_t buckets, first_symbol, bloom_words, bloom_shift;
  };
  const auto header = reader.read_one<Header>(table);
  if (!header || header->buckets > kMostSymbols || header->bloom_words > kMostSymbols) return 0;
  const std::uint64_t buckets = table + sizeof(Header) + header->bloom_words * sizeof(std::uint64_t);
  std::uint64_t last = 0;
  for (const std::uint32_t symbol : reader.read<std::uint32_t>(buckets, header->buckets)) {
    last = std::max<std::uint64_t>(last, symbol);
  }
  if (last < header->first_symbol) return header->first_symbol;
  const std::uint64_t chains = buckets + header->buckets * sizeof(std::uint32_t);
  for (; last < kMostSymbols; ++last) {
    const auto chain = reader.read_one<std::uint32_t>(chains + (last - header->first_symbol) * sizeof(std::uint32_t));
    if (!chain) return 0;
    if ((*chain & 1U) != 0) return last + 1;
  }
  return 0;
}

std::uint64_t count_symbols(const ProcessReader& reader, const DynamicTables& tables) {
  if (tables.gnu_hash != 0) return count_by_gnu_hash(reader, tables.gnu_hash);
  struct Header {
    std::uint32_t buckets, chains;
  };
  const auto header = tables.hash != 0 ? reader.read_one<Header>(tables.hash) : std::nullopt;
  return header ? std::min<std::uint64_t>(header->chains, kMostSymbols) : 0;
}

std::string string_at(const std::vector<char>& strings, std::uint64_t offset) {
  if (offset >= strings.size()) return {};
  return {strings.data() + offset, strnlen(strings.data() + offset, strings.size() - offset)};
}

// Imports have no section, and the names of versions none that is loaded.
bool is_exported(const Elf64_Sym& symbol, unsigned type) {
  return symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
         (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_OBJECT);
}

void read_symbols(const ProcessReader& reader, const DynamicTables& tables, LoadedExports& exports) {
  const std::vector<char> strings = reader.read<char>(tables.strings, tables.strings_size);
  if (tables.soname != 0) exports.soname = string_at(strings, tables.soname);
  if (tables.symbols == 0) return;
  for (const Elf64_Sym& symbol : reader.read<Elf64_Sym>(tables.symbols, count_symbols(reader, tables))) {
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    if (!is_exported(symbol, type)) continue;
    exports.symbols.push_back(
        {string_at(strings, symbol.st_name), symbol.st_value + exports.bias, symbol.st_size, type != STT_OBJECT});
  }
  std::stable_sort(exports.symbols.begin(), exports.symbols.end(),
                   [](const LoadedSymbol& a, const LoadedSymbol& b) { return a.address < b.address; });
}

}  // namespace

const LoadedSymbol* LoadedExports::find(std::string_view name) const {
  const auto found =
      std::find_if(symbols.begin(), symbols.end(), [name](const LoadedSymbol& symbol) { return symbol.name == name; });
  return found == symbols.end() ? nullptr : &*found;
}

LoadedExports read_loaded_exports(pid_t pid, std::uint64_t start) {
  const ProcessReader reader(pid);
  LoadedExports exports;
  const auto header = reader.read_one<Elf64_Ehdr>(start);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > kMostHeaders) {
    return exports;
  }
  const std::vector<Elf64_Phdr> segments = reader.read<Elf64_Phdr>(start + header->e_phoff, header->e_phnum);
  const auto first =
      std::find_if(segments.begin(), segments.end(), [](const Elf64_Phdr& each) { return each.p_type == PT_LOAD; });
  if (first == segments.end() || first->p_vaddr - first->p_offset > start) return exports;
  exports.bias = start - (first->p_vaddr - first->p_offset);
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC) continue;
    read_symbols(reader, read_dynamic(reader, segment, exports.bias), exports);
    break;
  }
  return exports;
}

}  // namespace leakwatch
