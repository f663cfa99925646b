// SPDX-License-Identifier: Apache-2.0
//
// Two rules keep this safe on any bytes. No pointer is ever made from a number in the file: slice() is the only door,
// and it hands out nothing that is not there. And no structure is read in place: tables may lie at odd addresses, so
// records are copied out.
//
// Nor may a small file ask for much work: of each kind of table only the first is read, and strings end somewhere.
#include "cli/process/elf_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace leakwatch {
namespace {

using Bytes = std::span<const unsigned char>;

constexpr std::size_t kMaxStringLength = 4096;  // PATH_MAX: nothing that we ask for is longer

template <typename Record>
Record copy_record(Bytes table, std::size_t index) {
  Record record;
  std::memcpy(&record, table.data() + index * sizeof(Record), sizeof(Record));
  return record;
}

template <typename Record>
std::vector<Record> copy_records(Bytes table) {
  std::vector<Record> records;
  records.reserve(table.size() / sizeof(Record));
  for (std::size_t i = 0; i < table.size() / sizeof(Record); ++i) records.push_back(copy_record<Record>(table, i));
  return records;
}

std::string_view string_at(Bytes strings, std::uint64_t offset) {
  if (offset >= strings.size()) return {};
  const Bytes rest = strings.subspan(offset, std::min<std::size_t>(strings.size() - offset, kMaxStringLength));
  const auto* text = reinterpret_cast<const char*>(rest.data());
  const std::size_t length = strnlen(text, rest.size());
  return length < rest.size() ? std::string_view(text, length) : std::string_view();
}

// Without looking for the end of the string in the file: there are millions of those.
bool string_equals(Bytes strings, std::uint64_t offset, std::string_view name) {
  if (offset >= strings.size() || strings.size() - offset <= name.size()) return false;
  const unsigned char* text = strings.data() + offset;
  return std::memcmp(text, name.data(), name.size()) == 0 && text[name.size()] == 0;
}

std::size_t two_bytes(const unsigned char* text) {
  return std::size_t{text[0]} << 8 | text[1];
}

bool is_defined_function(const Elf64_Sym& symbol) {
  // An import may carry an address, that of its PLT entry; only the section tells.
  if (symbol.st_shndx == SHN_UNDEF) return false;
  const unsigned type = ELF64_ST_TYPE(symbol.st_info);
  return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

Bytes map_regular_file(int fd, int& error) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) {
    error = errno;
    return {};
  }
  if (!S_ISREG(status.st_mode)) {
    error = EINVAL;
    return {};
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {};
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) {
    error = errno;
    return {};
  }
  return {static_cast<const unsigned char*>(address), size};
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // Non-blocking, so that the open of a fifo returns.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    error_ = errno;
    return;
  }
  bytes_ = map_regular_file(fd, error_);
  close(fd);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<unsigned char*>(bytes_.data()), bytes_.size());
}

ElfFile::ElfFile(Bytes bytes) : bytes_(bytes) {
  // e_ident, e_type and e_machine lie at the same place in both classes.
  constexpr std::size_t kCommonSize = EI_NIDENT + 2 * sizeof(Elf64_Half);
  if (bytes_.size() < kCommonSize || std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0) return;
  is_elf_ = true;
  std::memcpy(&header_, bytes_.data(), std::min(bytes_.size(), sizeof(header_)));
  std::copy(std::begin(header_.e_ident), std::end(header_.e_ident), std::begin(ident_));
  machine_ = header_.e_machine;
  if (!is_64_bit() || !is_little_endian() || bytes_.size() < sizeof(header_)) return;
  read_segments();
  read_sections();
}

void ElfFile::read_segments() {
  if (header_.e_phentsize != sizeof(Elf64_Phdr)) return;
  segments_ = copy_records<Elf64_Phdr>(slice(header_.e_phoff, header_.e_phnum * sizeof(Elf64_Phdr)));
}

void ElfFile::read_sections() {
  if (header_.e_shentsize != sizeof(Elf64_Shdr) || header_.e_shoff == 0) return;
  const Bytes first = slice(header_.e_shoff, sizeof(Elf64_Shdr));
  if (first.empty()) return;
  // Numbers that do not fit into 16 bits are in the first section's header.
  std::uint64_t count = header_.e_shnum;
  if (count == 0) count = copy_record<Elf64_Shdr>(first, 0).sh_size;
  if (count > bytes_.size() / sizeof(Elf64_Shdr)) return;
  sections_ = copy_records<Elf64_Shdr>(slice(header_.e_shoff, count * sizeof(Elf64_Shdr)));
}

Bytes ElfFile::slice(std::uint64_t offset, std::uint64_t size) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) return {};
  return bytes_.subspan(offset, size);
}

Bytes ElfFile::from_address(std::uint64_t address) const {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    const std::uint64_t distance = address - segment.p_vaddr;
    const Bytes content = slice(segment.p_offset, segment.p_filesz);
    if (distance < content.size()) return content.subspan(distance);
  }
  return {};
}

Bytes ElfFile::section_bytes(std::uint64_t index) const {
  if (index >= sections_.size() || sections_[index].sh_type == SHT_NOBITS) return {};
  return slice(sections_[index].sh_offset, sections_[index].sh_size);
}

std::optional<std::string_view> ElfFile::interpreter() const {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type == PT_INTERP) return string_at(slice(segment.p_offset, segment.p_filesz), 0);
  }
  return std::nullopt;
}

std::vector<Elf64_Dyn> ElfFile::dynamic_entries() const {
  std::vector<Elf64_Dyn> entries;
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_DYNAMIC) continue;
    entries = copy_records<Elf64_Dyn>(slice(segment.p_offset, segment.p_filesz));
    break;
  }
  const auto end = std::find_if(entries.begin(), entries.end(), [](const Elf64_Dyn& e) { return e.d_tag == DT_NULL; });
  entries.erase(end, entries.end());
  return entries;
}

std::vector<std::string_view> ElfFile::dynamic_strings(std::int64_t tag) const {
  const std::vector<Elf64_Dyn> entries = dynamic_entries();
  Bytes strings;
  for (const Elf64_Dyn& entry : entries) {
    if (entry.d_tag == DT_STRTAB) strings = from_address(entry.d_un.d_ptr);
  }
  std::vector<std::string_view> found;
  for (const Elf64_Dyn& entry : entries) {
    if (entry.d_tag == tag) found.push_back(string_at(strings, entry.d_un.d_val));
  }
  return found;
}

std::vector<std::string_view> ElfFile::needed() const {
  return dynamic_strings(DT_NEEDED);
}

std::string_view ElfFile::soname() const {
  const std::vector<std::string_view> names = dynamic_strings(DT_SONAME);
  return names.empty() ? std::string_view() : names.front();
}

bool ElfFile::is_position_independent_executable() const {
  const std::vector<Elf64_Dyn> entries = dynamic_entries();
  return std::any_of(entries.begin(), entries.end(),
                     [](const Elf64_Dyn& e) { return e.d_tag == DT_FLAGS_1 && (e.d_un.d_val & DF_1_PIE) != 0; });
}

std::optional<std::size_t> ElfFile::find_section(std::string_view name) const {
  if (sections_.empty()) return std::nullopt;
  const std::uint64_t names_index = header_.e_shstrndx == SHN_XINDEX ? sections_[0].sh_link : header_.e_shstrndx;
  const Bytes names = section_bytes(names_index);
  const auto found = std::find_if(sections_.begin(), sections_.end(), [&](const Elf64_Shdr& section) {
    return string_equals(names, section.sh_name, name);
  });
  if (found == sections_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - sections_.begin());
}

bool ElfFile::has_section(std::string_view name) const {
  return find_section(name).has_value();
}

std::string_view ElfFile::section_content(std::string_view name) const {
  const auto index = find_section(name);
  if (!index) return {};
  const Bytes content = section_bytes(*index);
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

std::vector<Elf64_Phdr> ElfFile::code_segments() const {
  std::vector<Elf64_Phdr> found;
  std::copy_if(segments_.begin(), segments_.end(), std::back_inserter(found),
               [](const Elf64_Phdr& s) { return s.p_type == PT_LOAD && (s.p_flags & PF_X) != 0; });
  return found;
}

std::set<std::string_view> ElfFile::defined(std::span<const std::string_view> wanted, SymbolScope scope) const {
  std::set<std::string_view> found;
  const auto collect_from = [&](std::uint32_t type) {
    const auto table = std::find_if(sections_.begin(), sections_.end(),
                                    [&](const Elf64_Shdr& section) { return section.sh_type == type; });
    if (table != sections_.end()) collect_defined(*table, wanted, found);
  };
  collect_from(SHT_DYNSYM);
  if (scope == SymbolScope::kEverywhere) collect_from(SHT_SYMTAB);
  return found;
}

void ElfFile::collect_defined(const Elf64_Shdr& table, std::span<const std::string_view> wanted,
                              std::set<std::string_view>& found) const {
  if (table.sh_entsize != sizeof(Elf64_Sym)) return;
  const Bytes symbols = slice(table.sh_offset, table.sh_size);
  const Bytes strings = section_bytes(table.sh_link);
  // Two characters decide nearly always, and a program may have a million symbols.
  std::bitset<1 << 16> beginnings;
  for (const std::string_view candidate : wanted) {
    beginnings.set(two_bytes(reinterpret_cast<const unsigned char*>(candidate.data())));
  }
  for (std::size_t i = 0; i < symbols.size() / sizeof(Elf64_Sym); ++i) {
    const auto symbol = copy_record<Elf64_Sym>(symbols, i);
    if (strings.size() < 2 || symbol.st_name > strings.size() - 2 || !is_defined_function(symbol)) continue;
    if (!beginnings.test(two_bytes(strings.data() + symbol.st_name))) continue;
    for (const std::string_view candidate : wanted) {
      if (string_equals(strings, symbol.st_name, candidate)) found.insert(candidate);
    }
  }
}

}  // namespace leakwatch
