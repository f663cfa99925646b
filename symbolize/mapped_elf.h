// SPDX-License-Identifier: Apache-2.0
//
// An ELF file as a process has it mapped: found even when its path now names another file or none, and read as little
// as possible. The file is preferred, because reading the mapping itself would bring its pages into the process; the
// memory serves for the vDSO and for a file that is gone.
#pragma once

#include <libelf.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "symbolize/call_frame_table.h"
#include "symbolize/process_maps.h"

namespace leakwatch {

// Where the files of a process are looked up.
struct ProcessFiles {
  pid_t pid = 0;
  std::string root;  // put before a path to open it
};

class MappedElf {
 public:
  // `mapping` is one of the file's in `mappings`. The object may be useless: then it has no bias for anything.
  MappedElf(const ProcessFiles& files, const std::vector<MemoryMapping>& mappings, const MemoryMapping& mapping);

  // Run-time address minus the file's, when the file has a segment for this executable mapping.
  std::optional<std::uint64_t> bias(const MemoryMapping& executable) const;
  const std::string& build_id() const { return build_id_; }  // lower-case hex, may be empty

  // Reads the file's .eh_frame when first called.
  CallFrameTable& call_frames();

 private:
  struct EndElf {
    void operator()(Elf* elf) const { elf_end(elf); }
  };
  using ElfHandle = std::unique_ptr<Elf, EndElf>;

  int open_file() const;
  bool is_what_is_mapped(int fd) const;
  void read_headers(Elf* elf);
  bool read_image(const std::vector<MemoryMapping>& mappings);
  void use_image(bool is_vdso);

  ProcessFiles files_;
  MemoryMapping header_;    // the mapping with the file's first page
  std::string first_page_;  // as the process has it
  std::vector<Elf64_Phdr> segments_;
  std::string build_id_;
  std::vector<char> image_;  // the file's contents out of the memory, when it cannot be opened
  ElfHandle elf_;            // what the table reads from
  std::unique_ptr<CallFrameTable> call_frames_;
};

}  // namespace leakwatch
