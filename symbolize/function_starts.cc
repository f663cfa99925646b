// SPDX-License-Identifier: Apache-2.0
//
// See the header. Linkers write the table in one form only: offsets of four bytes from the header, sorted.

#include "symbolize/function_starts.h"

#include <gelf.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace leakwatch {

namespace {

struct Table {
  std::uint64_t address = 0;  // of .eh_frame_hdr
  const char* bytes = nullptr;
  std::size_t size = 0;
};

std::optional<Table> find_table(Elf* elf) {
  std::size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_GNU_EH_FRAME) continue;
    Elf_Data* data = elf_getdata_rawchunk(elf, static_cast<std::int64_t>(header.p_offset), header.p_filesz, ELF_T_BYTE);
    if (data == nullptr || data->d_buf == nullptr) return std::nullopt;
    return Table{header.p_vaddr, static_cast<const char*>(data->d_buf), data->d_size};
  }
  return std::nullopt;
}

}  // namespace

FunctionStarts::FunctionStarts(Elf* elf) {
  std::size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) != nullptr && header.p_type == PT_LOAD &&
        (header.p_flags & PF_X) != 0)
      code_.push_back({header.p_vaddr, header.p_vaddr + header.p_memsz});
  }
  read_table(elf);
}

void FunctionStarts::read_table(Elf* elf) {
  constexpr char kForm[] = {1, 0x1b, 0x03, 0x3b};  // version; frame pc-relative, count, table relative to the header
  constexpr std::size_t kHeaderBytes = 12, kEntryBytes = 8;
  const auto table = find_table(elf);
  if (!table || table->size < kHeaderBytes || std::memcmp(table->bytes, kForm, sizeof kForm) != 0) return;
  std::uint32_t count = 0;
  std::memcpy(&count, table->bytes + 8, sizeof count);
  const std::size_t entries = std::min<std::size_t>(count, (table->size - kHeaderBytes) / kEntryBytes);
  starts_.reserve(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    std::int32_t offset = 0;
    std::memcpy(&offset, table->bytes + kHeaderBytes + i * kEntryBytes, sizeof offset);
    starts_.push_back(table->address + static_cast<std::uint64_t>(static_cast<std::int64_t>(offset)));
  }
  std::sort(starts_.begin(), starts_.end());
}

std::uint64_t FunctionStarts::around(std::uint64_t address) const {
  const bool is_code = std::any_of(code_.begin(), code_.end(), [address](const Range& range) {
    return address >= range.start && address < range.limit;
  });
  if (!is_code) return address;
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), address);
  return next == starts_.begin() ? address : *(next - 1);
}

}  // namespace leakwatch
