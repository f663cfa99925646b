// SPDX-License-Identifier: Apache-2.0
//
// See the header. The loader has checked and used these tables before us; what is checked again is only that they lie
// in the module, as a module may bring none of them.

#include "preload/loaded_module.h"

#include <cstring>

namespace leakwatch::preload {

namespace {

constexpr std::uint64_t kPageMask = 4095;
constexpr std::uint16_t kHiddenVersion = 0x8000;

#if defined(__x86_64__)
constexpr std::uint32_t kJumpSlot = R_X86_64_JUMP_SLOT;
constexpr std::uint32_t kGlobalData = R_X86_64_GLOB_DAT;
constexpr std::uint32_t kAddress = R_X86_64_64;
#else
#error "no relocations for this machine yet"
#endif

std::uint32_t gnu_hash_of(const char* name) {
  std::uint32_t hash = 5381;
  for (; *name != 0; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

std::uint32_t hash_of(const char* name) {
  std::uint32_t hash = 0;
  for (; *name != 0; ++name) {
    hash = (hash << 4) + static_cast<unsigned char>(*name);
    const std::uint32_t upper = hash & 0xf0000000;
    hash = (hash ^ (upper >> 24)) & ~upper;
  }
  return hash;
}

// What the dynamic section says, before it is known to make sense.
struct Dynamic {
  std::uint64_t symbols = 0, strings = 0, gnu_hash = 0, hash = 0, versions = 0;
  std::uint64_t rela = 0, rela_bytes = 0, rela_relative = 0;
  std::uint64_t rel = 0, rel_bytes = 0, rel_relative = 0;
  std::uint64_t plt = 0, plt_bytes = 0, plt_kind = DT_RELA;

  explicit Dynamic(const ElfW(Dyn) * entry) {
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (std::uint64_t* value = place_of(entry->d_tag)) *value = entry->d_un.d_val;
    }
  }
  std::uint64_t* place_of(ElfW(Sxword) tag) {
    switch (tag) {
      case DT_SYMTAB:
        return &symbols;
      case DT_STRTAB:
        return &strings;
      case DT_GNU_HASH:
        return &gnu_hash;
      case DT_HASH:
        return &hash;
      case DT_VERSYM:
        return &versions;
      case DT_RELA:
        return &rela;
      case DT_RELASZ:
        return &rela_bytes;
      case DT_RELACOUNT:
        return &rela_relative;
      case DT_REL:
        return &rel;
      case DT_RELSZ:
        return &rel_bytes;
      case DT_RELCOUNT:
        return &rel_relative;
      case DT_JMPREL:
        return &plt;
      case DT_PLTRELSZ:
        return &plt_bytes;
      case DT_PLTREL:
        return &plt_kind;
      default:
        return nullptr;
    }
  }
};

}  // namespace

LoadedModule::LoadedModule(const dl_phdr_info& info)
    : segments_(info.dlpi_phdr), segment_count_(info.dlpi_phnum), bias_(info.dlpi_addr) {
  read_segments(info);
  for (std::size_t i = 0; i < segment_count_; ++i) {
    if (segments_[i].p_type == PT_DYNAMIC)
      is_readable_ = read_dynamic(reinterpret_cast<const ElfW(Dyn)*>(bias_ + segments_[i].p_vaddr));
  }
}

// RELRO as glibc rounds it: a last page that is not wholly in it stays writable.
void LoadedModule::read_segments(const dl_phdr_info& info) {
  for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uint64_t begin = bias_ + segment.p_vaddr, end = begin + segment.p_memsz;
    if (segment.p_type == PT_LOAD) {
      low_ = begin < low_ ? begin : low_;
      high_ = end > high_ ? end : high_;
    } else if (segment.p_type == PT_GNU_RELRO) {
      relro_begin_ = begin & ~kPageMask;
      relro_end_ = end & ~kPageMask;
    }
  }
  if (low_ > high_) low_ = high_ = 0;
}

// glibc relocates the pointers of most dynamic sections where they stand, but not of all (the vDSO's).
std::uint64_t LoadedModule::run_time_address(std::uint64_t pointer) const {
  if (pointer == 0) return 0;
  if (contains(pointer)) return pointer;
  return contains(bias_ + pointer) ? bias_ + pointer : 0;
}

// The loader's own relocations of a module come first and have no symbol: `skipped` of them are passed over, which are
// nearly all in most modules.
LoadedModule::Table LoadedModule::table(std::uint64_t pointer, std::uint64_t bytes, std::size_t entry_bytes,
                                        std::uint64_t skipped) const {
  const std::uint64_t begin = run_time_address(pointer);
  if (begin == 0 || bytes == 0 || !contains(begin + bytes - 1) || skipped * entry_bytes > bytes) return {};
  const char* first = reinterpret_cast<const char*>(begin);
  return {first + skipped * entry_bytes, first + bytes, entry_bytes};
}

bool LoadedModule::read_dynamic(const ElfW(Dyn) * section) {
  const Dynamic dynamic(section);
  symbols_ = reinterpret_cast<const ElfW(Sym)*>(run_time_address(dynamic.symbols));
  strings_ = reinterpret_cast<const char*>(run_time_address(dynamic.strings));
  gnu_hash_ = reinterpret_cast<const std::uint32_t*>(run_time_address(dynamic.gnu_hash));
  hash_ = reinterpret_cast<const std::uint32_t*>(run_time_address(dynamic.hash));
  versions_ = reinterpret_cast<const std::uint16_t*>(run_time_address(dynamic.versions));
  tables_[0] = table(dynamic.rela, dynamic.rela_bytes, sizeof(ElfW(Rela)), dynamic.rela_relative);
  tables_[1] = table(dynamic.rel, dynamic.rel_bytes, sizeof(ElfW(Rel)), dynamic.rel_relative);
  const std::size_t plt_entry_bytes = dynamic.plt_kind == DT_REL ? sizeof(ElfW(Rel)) : sizeof(ElfW(Rela));
  tables_[2] = table(dynamic.plt, dynamic.plt_bytes, plt_entry_bytes, 0);
  return symbols_ != nullptr && strings_ != nullptr;
}

bool LoadedModule::is_writable(std::uint64_t address) const {
  for (std::size_t i = 0; i < segment_count_; ++i) {
    const ElfW(Phdr)& segment = segments_[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) != 0 &&
        address - (bias_ + segment.p_vaddr) < segment.p_memsz)
      return true;
  }
  return false;
}

bool LoadedModule::read_slot(const ElfW(Rel) * entry, Slot& slot) const {
  const auto kind = static_cast<std::uint32_t>(ELF64_R_TYPE(entry->r_info));
  if (kind != kJumpSlot && kind != kGlobalData && kind != kAddress) return false;
  const ElfW(Sym)& symbol = symbols_[ELF64_R_SYM(entry->r_info)];
  const std::uint64_t place = bias_ + entry->r_offset;
  if (symbol.st_name == 0 || place % sizeof(std::uint64_t) != 0 || !is_writable(place)) return false;
  slot.place = reinterpret_cast<std::uint64_t*>(place);
  slot.name = strings_ + symbol.st_name;
  // A slot of the PLT that was not bound yet leads back into the module, to the PLT; one that was may lead to the
  // module's own definition.
  const std::uint64_t value = __atomic_load_n(slot.place, __ATOMIC_RELAXED);
  const bool is_own = symbol.st_shndx != SHN_UNDEF && value == bias_ + symbol.st_value;
  slot.is_unbound = kind == kJumpSlot && contains(value) && !is_own;
  return true;
}

// An undefined symbol of a non-PIE executable may have an address all the same: that of the executable's own PLT entry.
bool LoadedModule::is_definition(const ElfW(Sym) & symbol, const char* name) const {
  const unsigned char binding = ELF64_ST_BIND(symbol.st_info), kind = ELF64_ST_TYPE(symbol.st_info);
  const unsigned char visibility = ELF64_ST_VISIBILITY(symbol.st_other);
  return symbol.st_shndx != SHN_UNDEF && symbol.st_value != 0 && (binding == STB_GLOBAL || binding == STB_WEAK) &&
         (visibility == STV_DEFAULT || visibility == STV_PROTECTED) &&
         (kind == STT_FUNC || kind == STT_OBJECT || kind == STT_NOTYPE) &&
         std::strcmp(strings_ + symbol.st_name, name) == 0;
}

bool LoadedModule::is_default_version(std::uint32_t index) const {
  return versions_ == nullptr || (versions_[index] & kHiddenVersion) == 0;
}

// Header: buckets, index of the first hashed symbol, words of the Bloom filter, its shift. Then the filter, the
// buckets, and for each hashed symbol its hash, whose lowest bit ends a chain.
template <class Visit>
void LoadedModule::for_each_gnu_hashed(const char* name, Visit visit) const {
  const std::uint32_t buckets = gnu_hash_[0], first = gnu_hash_[1], filter_words = gnu_hash_[2], shift = gnu_hash_[3];
  if (buckets == 0 || filter_words == 0) return;
  const auto* filter = reinterpret_cast<const std::uint64_t*>(gnu_hash_ + 4);
  const auto* bucket = reinterpret_cast<const std::uint32_t*>(filter + filter_words);
  const std::uint32_t* chain = bucket + buckets;
  const std::uint32_t hash = gnu_hash_of(name);
  const std::uint64_t word = filter[(hash / 64) % filter_words];
  if (((word >> (hash % 64)) & (word >> ((hash >> shift) % 64)) & 1) == 0) return;
  for (std::uint32_t i = bucket[hash % buckets]; i >= first; ++i) {
    if (((chain[i - first] ^ hash) >> 1) == 0) visit(i);
    if ((chain[i - first] & 1) != 0) return;
  }
}

// Header: buckets, symbols. Then the buckets, and for each symbol the next of its chain.
template <class Visit>
void LoadedModule::for_each_hashed(const char* name, Visit visit) const {
  const std::uint32_t buckets = hash_[0], symbols = hash_[1];
  if (buckets == 0) return;
  const std::uint32_t* chain = hash_ + 2 + buckets;
  for (std::uint32_t i = hash_[2 + hash_of(name) % buckets]; i != 0 && i < symbols; i = chain[i]) visit(i);
}

template <class Visit>
void LoadedModule::for_each_of_hash(const char* name, Visit visit) const {
  if (gnu_hash_ != nullptr)
    for_each_gnu_hashed(name, visit);
  else if (hash_ != nullptr)
    for_each_hashed(name, visit);
}

std::uint64_t LoadedModule::find(const char* name) const {
  if (!is_readable_) return 0;
  std::uint64_t found = 0;
  bool is_default = false;
  const auto take = [&](std::uint32_t index) {
    if (is_default || !is_definition(symbols_[index], name)) return;
    is_default = is_default_version(index);
    if (found == 0 || is_default) found = bias_ + symbols_[index].st_value;
  };
  for_each_of_hash(name, take);
  return found;
}

// Of any kind and binding, unlike above.
bool LoadedModule::may_define(const char* name) const {
  if (!is_readable_ || (gnu_hash_ == nullptr && hash_ == nullptr)) return true;
  bool is_found = false;
  for_each_of_hash(name, [&](std::uint32_t index) {
    is_found = is_found || (symbols_[index].st_shndx != SHN_UNDEF && is_default_version(index) &&
                            std::strcmp(strings_ + symbols_[index].st_name, name) == 0);
  });
  return is_found;
}

}  // namespace leakwatch::preload
