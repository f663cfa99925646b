// SPDX-License-Identifier: Apache-2.0
//
// See the header. A process may have anything mapped, and an executable mapping need not be an ELF file.

#include "symbolize/mapped_elf.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "symbolize/file_identity.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kLargestImage = 64U << 20U;

// The last mapping, at or below `mapping`, of the file's beginning: one file may be mapped as a whole several times.
MemoryMapping header_mapping(const std::vector<MemoryMapping>& mappings, const MemoryMapping& mapping) {
  MemoryMapping header;
  for (const MemoryMapping& candidate : mappings) {
    if (candidate.start > mapping.start) break;
    if (candidate.file_offset == 0 && candidate.readable && candidate.is_same_file(mapping)) header = candidate;
  }
  return header;
}

bool is_elf(std::string_view page) {
  return page.size() >= sizeof(Elf64_Ehdr) && page.starts_with(ELFMAG) && page[EI_CLASS] == ELFCLASS64;
}

}  // namespace

MappedElf::MappedElf(const ProcessFiles& files, const std::vector<MemoryMapping>& mappings,
                     const MemoryMapping& mapping)
    : files_(files), header_(header_mapping(mappings, mapping)) {
  elf_version(EV_CURRENT);
  first_page_.resize(kPage);
  first_page_.resize(read_process_memory(files_.pid, header_.start, first_page_.data(), kPage));
  if (!is_elf(first_page_)) return;
  const int fd = header_.inode == 0 ? -1 : open_file();
  if (fd < 0) {
    if (read_image(mappings)) use_image(header_.inode == 0);
    return;
  }
  read_headers(ElfHandle(elf_begin(fd, ELF_C_READ, nullptr)).get());
  close(fd);
}

// The kernel's link is always right, but asks for privileges; the path is right as long as the first page is.
int MappedElf::open_file() const {
  for (const std::string& path :
       {map_file_path(files_.pid, header_.start, header_.limit), files_.root + header_.name}) {
    const int fd = open_regular(path);
    if (fd < 0) continue;
    if (is_what_is_mapped(fd)) return fd;
    close(fd);
  }
  return -1;
}

// The first page holds the program headers and, with every common linker, the build id.
bool MappedElf::is_what_is_mapped(int fd) const {
  std::string page(kPage, '\0');
  const ssize_t count = pread(fd, page.data(), page.size(), 0);
  const std::size_t size = std::min(first_page_.size(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return size >= sizeof(Elf64_Ehdr) && std::memcmp(page.data(), first_page_.data(), size) == 0;
}

void MappedElf::read_headers(Elf* elf) {
  std::size_t count = 0;
  if (elf == nullptr || elf_getphdrnum(elf, &count) != 0) return;
  for (std::size_t index = 0; index < count; ++index) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(index), &segment) == nullptr) break;
    if (segment.p_type == PT_LOAD) segments_.push_back(segment);
  }
  const void* bytes = nullptr;
  const ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
  if (size > 0) build_id_ = build_id_text(static_cast<const unsigned char*>(bytes), static_cast<std::size_t>(size));
}

// Puts the bytes of the read-only mappings where they stand in the file.
bool MappedElf::read_image(const std::vector<MemoryMapping>& mappings) {
  for (const MemoryMapping& mapping : mappings) {
    if (mapping.start < header_.start || !mapping.is_same_file(header_)) continue;
    if (mapping.start > header_.start && mapping.file_offset == 0) break;  // the file's next load
    const std::uint64_t size = mapping.limit - mapping.start;
    if (!mapping.readable || mapping.writable) continue;
    if (mapping.file_offset > kLargestImage || size > kLargestImage - mapping.file_offset) continue;
    image_.resize(std::max<std::size_t>(image_.size(), mapping.file_offset + size));
    read_process_memory(files_.pid, mapping.start, image_.data() + mapping.file_offset, size);
  }
  return image_.size() >= sizeof(Elf64_Ehdr);
}

// The section headers are behind everything that is mapped, but for the vDSO. Without them libdw goes by segments.
void MappedElf::use_image(bool is_vdso) {
  if (!is_vdso) {
    Elf64_Ehdr header;
    std::memcpy(&header, image_.data(), sizeof header);
    header.e_shoff = 0;
    header.e_shnum = 0;
    header.e_shstrndx = 0;
    std::memcpy(image_.data(), &header, sizeof header);
  }
  elf_.reset(elf_memory(image_.data(), image_.size()));
  read_headers(elf_.get());
}

std::optional<std::uint64_t> MappedElf::bias(const MemoryMapping& executable) const {
  for (const Elf64_Phdr& segment : segments_) {
    const std::uint64_t first = segment.p_offset & ~(kPage - 1);
    const bool holds = first <= executable.file_offset && executable.file_offset < segment.p_offset + segment.p_filesz;
    if ((segment.p_flags & PF_X) == 0 || !holds) continue;
    return executable.start - executable.file_offset - (segment.p_vaddr - segment.p_offset);
  }
  return std::nullopt;
}

CallFrameTable& MappedElf::call_frames() {
  if (call_frames_ != nullptr) return *call_frames_;
  const int fd = elf_ == nullptr ? open_file() : -1;
  if (fd >= 0) elf_.reset(elf_begin(fd, ELF_C_READ, nullptr));
  call_frames_ = std::make_unique<CallFrameTable>(elf_.get());
  if (fd >= 0) {
    if (elf_ != nullptr) elf_cntl(elf_.get(), ELF_C_FDDONE);  // the table has what it needs in memory
    close(fd);
  }
  return *call_frames_;
}

}  // namespace leakwatch
