// SPDX-License-Identifier: Apache-2.0
//
// Every question that is asked of a program's file, of bytes that only look like one. The bytes are copied to the end
// of an allocation of their size, so that a read beyond them is seen by a sanitizer.
#include <algorithm>
#include <memory>
#include <string_view>

#include "cli/process/elf_file.h"
#include "tests/fuzz/input.h"

namespace leakwatch {
namespace {

void run(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<unsigned char[]> bytes(new unsigned char[size]);
  std::copy(data, data + size, bytes.get());
  const ElfFile file({bytes.get(), size});
  if (!file.is_elf()) return;
  std::size_t seen = static_cast<std::size_t>(file.machine()) + static_cast<std::size_t>(file.type());
  seen += file.is_64_bit() + file.is_little_endian() + file.has_program_headers();
  seen += file.is_position_independent_executable() + file.has_section(".gopclntab");
  fuzz::check(file.section_content(".rodata").size() <= size);
  fuzz::check(file.code_segments().size() < size);
  if (const auto interpreter = file.interpreter()) fuzz::check(interpreter->size() < size);
  for (const std::string_view name : file.needed()) fuzz::check(name.size() < size);
  fuzz::check(file.soname().size() < size);
  constexpr std::string_view kWanted[] = {"malloc", "je_malloc", "tc_malloc", "__asan_init", "main"};
  for (const SymbolScope scope : {SymbolScope::kExported, SymbolScope::kEverywhere})
    fuzz::check(file.defined(kWanted, scope).size() <= std::size(kWanted));
  fuzz::check(seen < 10 * 65536);
}

}  // namespace
}  // namespace leakwatch

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leakwatch::run(data, size);
  return 0;
}
