// SPDX-License-Identifier: Apache-2.0
//
// See the header. What a module says about itself (segments, build id) is read from its program headers in memory, so
// that the reader can tell whether the file on the disk is still the one that runs.

#include "preload/modules.h"

#include <elf.h>
#include <link.h>

#include <cstring>

#include "preload/bounded_lock.h"

namespace leakwatch::preload {

namespace {

// Looked for once: asking the loader may mean to wait for another thread that loads something.
using FindObject = int (*)(void*, dl_find_object*);
FindObject find_object;

std::uint64_t path_hash(const char* path) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (; *path != 0; ++path) hash = (hash ^ static_cast<unsigned char>(*path)) * 0x100000001b3;
  return hash;
}

struct ProgramHeaders {
  const ElfW(Phdr) * first = nullptr;
  std::size_t count = 0;
};

// The ELF header lies at the start of the mapping in every object that the loader maps.
ProgramHeaders program_headers(const dl_find_object& found) {
  const auto* header = static_cast<const ElfW(Ehdr)*>(found.dlfo_map_start);
  if (std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phentsize != sizeof(ElfW(Phdr))) return {};
  if (header->e_phoff > 4096 - sizeof(ElfW(Phdr))) return {};
  return {reinterpret_cast<const ElfW(Phdr)*>(reinterpret_cast<const char*>(header) + header->e_phoff),
          header->e_phnum};
}

void read_build_id(const char* note, std::size_t size, shared::ModuleRecord& record) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, note, sizeof head);
    const std::size_t name = (head.n_namesz + 3u) & ~3u, description = (head.n_descsz + 3u) & ~3u;
    const std::size_t whole = sizeof head + name + description;
    if (whole > size) return;
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && std::memcmp(note + sizeof head, "GNU", 4) == 0 &&
        head.n_descsz <= shared::kMaxBuildId) {
      record.build_id_size = head.n_descsz;
      std::memcpy(record.build_id, note + sizeof head + name, head.n_descsz);
      return;
    }
    note += whole;
    size -= whole;
  }
}

void describe(const dl_find_object& found, shared::ModuleRecord& record) {
  const ProgramHeaders headers = program_headers(found);
  const std::uint64_t bias = found.dlfo_link_map->l_addr;
  for (std::size_t i = 0; i < headers.count; ++i) {
    const ElfW(Phdr)& segment = headers.first[i];
    const std::uint64_t start = bias + segment.p_vaddr;
    if (segment.p_type == PT_NOTE && record.build_id_size == 0) {
      read_build_id(reinterpret_cast<const char*>(start), segment.p_memsz, record);
    } else if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 &&
               record.segment_count < shared::kMaxSegments) {
      record.segments[record.segment_count++] = {start, start + segment.p_memsz, segment.p_offset};
    }
  }
}

}  // namespace

void Modules::start(shared::Header* header, Known* known) {
  header_ = header;
  known_ = known;
  if (find_object == nullptr) find_object = reinterpret_cast<FindObject>(dlsym(RTLD_DEFAULT, "_dl_find_object"));
}

bool Modules::find(std::uint64_t address, dl_find_object& found) const {
  return find_object != nullptr && find_object(reinterpret_cast<void*>(address), &found) == 0;
}

// Newest first: of two modules that had the same place, the last one counts.
bool Modules::is_known(std::uint64_t start, std::uint64_t limit, std::uint64_t identity) const {
  const std::uint64_t count = known_count_.load(std::memory_order_acquire);
  for (std::uint64_t i = count, oldest = count < kMostKnown ? 0 : count - kMostKnown; i-- > oldest;) {
    const Known& known = known_[i % kMostKnown];
    if (known.start == start && known.limit == limit) return known.identity == identity;
    if (known.start < limit && start < known.limit) return false;
  }
  return false;
}

bool Modules::announce(const dl_find_object& found) {
  const std::uint64_t start = reinterpret_cast<std::uintptr_t>(found.dlfo_map_start);
  const std::uint64_t limit = reinterpret_cast<std::uintptr_t>(found.dlfo_map_end);
  const std::uint64_t identity =
      path_hash(found.dlfo_link_map->l_name) ^ reinterpret_cast<std::uintptr_t>(found.dlfo_link_map->l_ld);
  if (is_known(start, limit, identity)) return true;
  // A thread that was ended in the middle never gives it back: that is waited for once.
  if (!take_lock(locked_, is_stuck_.load(std::memory_order_relaxed) ? 0 : shared::kAllocationWaitNs)) {
    is_stuck_.store(true, std::memory_order_relaxed);
    return false;
  }
  if (!is_known(start, limit, identity)) append(found, identity);
  give_lock_back(locked_);
  return true;
}

void Modules::append(const dl_find_object& found, std::uint64_t identity) {
  const char* path = found.dlfo_link_map->l_name;
  const std::size_t path_size = strnlen(path, shared::kMaxPath);
  const std::uint64_t bytes = sizeof(shared::ModuleRecord) + ((path_size + 7) & ~std::size_t{7});
  const std::uint64_t used = header_->modules_used.load(std::memory_order_relaxed);
  const std::uint64_t count = known_count_.load(std::memory_order_relaxed);
  if (used + bytes > header_->modules_bytes) {
    header_->modules_refused.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  shared::ModuleRecord record{};
  record.epoch = epoch();
  record.start = reinterpret_cast<std::uintptr_t>(found.dlfo_map_start);
  record.limit = reinterpret_cast<std::uintptr_t>(found.dlfo_map_end);
  record.bias = found.dlfo_link_map->l_addr;
  record.path_size = static_cast<std::uint32_t>(path_size);
  describe(found, record);
  char* destination = reinterpret_cast<char*>(header_) + header_->modules_offset + used;
  std::memcpy(destination, &record, sizeof record);
  std::memcpy(destination + sizeof record, path, path_size);
  known_[count % kMostKnown] = {record.start, record.limit, identity};
  known_count_.store(count + 1, std::memory_order_release);
  header_->modules_used.store(used + bytes, std::memory_order_release);
}

}  // namespace leakwatch::preload
