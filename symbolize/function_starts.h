// SPDX-License-Identifier: Apache-2.0
//
// Where the functions of a stripped file begin: the unwind tables, which stripping leaves in, have an entry for each.
// So all calls in a function that has no name can still stand under one, the address of its beginning.
#pragma once

#include <libelf.h>

#include <cstdint>
#include <vector>

namespace leakwatch {

class FunctionStarts {
 public:
  // Reads the sorted table of .eh_frame_hdr (Linux Standard Base, "Exception Frames"); empty for any other contents.
  explicit FunctionStarts(Elf* elf);

  // The beginning of the function around `address`, in the file's own address space; `address` itself when unknown, or
  // outside of all code.
  std::uint64_t around(std::uint64_t address) const;

 private:
  void read_table(Elf* elf);

  struct Range {
    std::uint64_t start;
    std::uint64_t limit;
  };
  std::vector<std::uint64_t> starts_;  // ascending
  std::vector<Range> code_;            // executable segments
};

}  // namespace leakwatch
