// SPDX-License-Identifier: Apache-2.0
//
// A reader of ELF files for the questions that are asked before a program starts: which machine, which loader, which
// libraries, which functions does it define. It works on bytes that somebody else wrote, so every offset, count and
// string length that the file states is checked against the bytes that are there; what does not fit reads as absent.
// Work is bounded by the file's size, whatever its tables claim.
//
// It maps the file and touches only the tables it is asked about, so that a program of 100 MB costs a few milliseconds.
// It knows nothing about debug information: that is symbolize/, with elfutils. Never include that here.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leakwatch {

// A regular file, mapped read-only for as long as this lives.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const unsigned char> bytes() const { return bytes_; }
  int error() const { return error_; }  // errno of the step that failed, or 0; an empty file is no error

 private:
  std::span<const unsigned char> bytes_;
  int error_ = 0;
};

enum class SymbolScope {
  kExported,    // .dynsym: what other libraries can bind to
  kEverywhere,  // and .symtab, where it was not stripped
};

// A view: the bytes must outlive it, and so must they outlive every string_view that it returns.
class ElfFile {
 public:
  explicit ElfFile(std::span<const unsigned char> bytes);

  bool is_elf() const { return is_elf_; }  // if not, ask nothing else
  bool is_64_bit() const { return ident_[EI_CLASS] == ELFCLASS64; }
  bool is_little_endian() const { return ident_[EI_DATA] == ELFDATA2LSB; }
  int machine() const { return machine_; }  // of a little-endian file, of either class
  int type() const { return header_.e_type; }

  // The answers below are of 64-bit little-endian files; of all others they are empty.
  bool has_program_headers() const { return !segments_.empty(); }
  std::optional<std::string_view> interpreter() const;  // nullopt: asks for no loader; "": its name is damaged
  std::vector<std::string_view> needed() const;
  std::string_view soname() const;
  bool is_position_independent_executable() const;  // as opposed to a shared library, which has the same type
  bool has_section(std::string_view name) const;
  std::string_view section_content(std::string_view name) const;  // empty when there is none
  std::vector<Elf64_Phdr> code_segments() const;                  // those that are loaded to be executed

  // Those of `wanted` that are functions of this file, not imports. Names have at least two characters. The result
  // points into `wanted`.
  std::set<std::string_view> defined(std::span<const std::string_view> wanted, SymbolScope scope) const;

 private:
  using Bytes = std::span<const unsigned char>;

  void read_segments();
  void read_sections();
  Bytes slice(std::uint64_t offset, std::uint64_t size) const;
  Bytes from_address(std::uint64_t address) const;
  Bytes section_bytes(std::uint64_t index) const;
  std::optional<std::size_t> find_section(std::string_view name) const;
  std::vector<Elf64_Dyn> dynamic_entries() const;
  std::vector<std::string_view> dynamic_strings(std::int64_t tag) const;
  void collect_defined(const Elf64_Shdr& table, std::span<const std::string_view> wanted,
                       std::set<std::string_view>& found) const;

  Bytes bytes_;
  bool is_elf_ = false;
  unsigned char ident_[EI_NIDENT] = {};
  int machine_ = EM_NONE;
  Elf64_Ehdr header_ = {};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Shdr> sections_;
};

}  // namespace leakwatch
