// SPDX-License-Identifier: Apache-2.0
//
// A module as it lies in this process's memory: which functions it defines for others, and the slots (GOT entries and
// pointers in data) through which it calls those of others. Read from the tables that the loader itself used (ELF gABI
// chapter 5, x86-64 psABI 4.4 and 5.2; the GNU hash table as binutils and glibc define it). To be used inside a
// callback of dl_iterate_phdr: only there can the module not be unloaded meanwhile.
#pragma once

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

class LoadedModule {
 public:
  explicit LoadedModule(const dl_phdr_info& info);

  // False: it has no tables to read, or tables that point outside the module.
  bool is_readable() const { return is_readable_; }
  bool contains(std::uint64_t address) const { return address - low_ < high_ - low_; }
  std::uint64_t bias() const { return bias_; }

  // The address of the function or object `name` that this module defines for others; 0 if it defines none. Of several
  // versions it is the default one.
  std::uint64_t find(const char* name) const;

  // Whether the loader may find `name` here when it is asked for no version: true also where the tables cannot tell.
  bool may_define(const char* name) const;

  struct Slot {
    std::uint64_t* place;  // aligned, in a segment that is writable or was until relocation was done
    const char* name;      // of the symbol that it holds the address of
    bool is_unbound;       // leads to the loader, which will look the symbol up at the first call
  };
  template <class Visit>
  void for_each_slot(Visit visit) const {
    if (!is_readable_) return;
    for (const Table& table : tables_) {
      for (const char* entry = table.begin; entry != nullptr && entry + table.entry_bytes <= table.end;
           entry += table.entry_bytes) {
        Slot slot;
        if (read_slot(reinterpret_cast<const ElfW(Rel)*>(entry), slot)) visit(slot);
      }
    }
  }

  // Pages that the loader made read-only once the module was relocated (RELRO). Empty: begin == end.
  std::uint64_t relro_begin() const { return relro_begin_; }
  std::uint64_t relro_end() const { return relro_end_; }

 private:
  // Rel and Rela begin with the same two members, and no more is needed of them.
  struct Table {
    const char* begin = nullptr;
    const char* end = nullptr;
    std::size_t entry_bytes = 0;
  };

  void read_segments(const dl_phdr_info& info);
  bool read_dynamic(const ElfW(Dyn) * dynamic);
  std::uint64_t run_time_address(std::uint64_t pointer) const;
  Table table(std::uint64_t pointer, std::uint64_t bytes, std::size_t entry_bytes, std::uint64_t skipped) const;
  bool read_slot(const ElfW(Rel) * entry, Slot& slot) const;
  bool is_writable(std::uint64_t address) const;
  bool is_definition(const ElfW(Sym) & symbol, const char* name) const;
  bool is_default_version(std::uint32_t index) const;
  template <class Visit>
  void for_each_of_hash(const char* name, Visit visit) const;
  template <class Visit>
  void for_each_gnu_hashed(const char* name, Visit visit) const;
  template <class Visit>
  void for_each_hashed(const char* name, Visit visit) const;

  const ElfW(Phdr) * segments_;
  std::size_t segment_count_;
  std::uint64_t bias_;
  std::uint64_t low_ = ~std::uint64_t{0};
  std::uint64_t high_ = 0;
  std::uint64_t relro_begin_ = 0;
  std::uint64_t relro_end_ = 0;
  const ElfW(Sym) * symbols_ = nullptr;
  const char* strings_ = nullptr;
  const std::uint32_t* gnu_hash_ = nullptr;
  const std::uint32_t* hash_ = nullptr;
  const std::uint16_t* versions_ = nullptr;
  Table tables_[3];  // RELA, REL, and those of the PLT
  bool is_readable_ = false;
};

}  // namespace leakwatch::preload
