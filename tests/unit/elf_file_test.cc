// SPDX-License-Identifier: Apache-2.0
//
// The reader must tell the truth about a file that the compiler wrote, and say nothing at all about bytes that do not
// fit. The second half damages a real file in every way that a loop can think of; the sanitizers judge.
#include "cli/process/elf_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

using namespace leakwatch;

namespace {

using ByteVector = std::vector<unsigned char>;

constexpr std::array<std::string_view, 4> kNames = {"exported_one", "hidden_one", "puts", "absent"};

// A shared library with one exported, one hidden and one imported function.
std::string build_library(const TemporaryFolder& folder) {
  const std::string root(folder.path());
  std::ofstream(root + "/x.c")
      << "#include <stdio.h>\n"
         "__attribute__((visibility(\"hidden\"))) int hidden_one(void) { return puts(\"\"); }\n"
         "int exported_one(void) { return hidden_one(); }\n";
  const std::string command = fmt::format("cc -shared -fPIC -Wl,-soname,libx.so.7 -o {0}/libx.so {0}/x.c", root);
  REQUIRE(std::system(command.c_str()) == 0);
  return root + "/libx.so";
}

ByteVector copy_of(const std::string& path) {
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

// Every question at once; what comes back matters less than that it comes back.
std::size_t ask_everything(const ByteVector& bytes) {
  const ElfFile elf(bytes);
  if (!elf.is_elf()) return 0;
  std::size_t sum = elf.soname().size() + elf.interpreter().value_or("").size();
  for (const std::string_view name : elf.needed()) sum += name.size();
  sum += elf.defined(kNames, SymbolScope::kEverywhere).size();
  sum += elf.section_content(".rodata").size() + elf.section_content(".bss").size() + elf.code_segments().size();
  return sum + (elf.has_section(".text") ? 1 : 0) + (elf.is_position_independent_executable() ? 1 : 0);
}

template <typename Record>
void overwrite(ByteVector& bytes, std::size_t offset, const Record& record) {
  REQUIRE(offset + sizeof(Record) <= bytes.size());
  std::memcpy(bytes.data() + offset, &record, sizeof(Record));
}

Elf64_Ehdr header_of(const ByteVector& bytes) {
  Elf64_Ehdr header;
  REQUIRE(bytes.size() >= sizeof(header));
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header;
}

}  // namespace

TEST_CASE("an ELF file tells its names") {
  const TemporaryFolder folder;
  const MappedFile file(build_library(folder));
  REQUIRE(file.error() == 0);
  const ElfFile elf(file.bytes());
  REQUIRE(elf.is_elf());
  CHECK(elf.is_64_bit());
  CHECK(elf.is_little_endian());
  CHECK(elf.type() == ET_DYN);
  CHECK(elf.has_program_headers());
  CHECK(elf.soname() == "libx.so.7");
  CHECK(elf.needed() == std::vector<std::string_view>{"libc.so.6"});
  CHECK_FALSE(elf.interpreter().has_value());
  CHECK_FALSE(elf.is_position_independent_executable());
  CHECK(elf.has_section(".text"));
  CHECK_FALSE(elf.has_section(".tex"));
  CHECK_FALSE(elf.has_section(".text2"));
}

TEST_CASE("imports are not definitions, and hidden functions are in .symtab only") {
  const TemporaryFolder folder;
  const ByteVector bytes = copy_of(build_library(folder));
  const ElfFile elf(bytes);
  CHECK(elf.defined(kNames, SymbolScope::kExported) == std::set<std::string_view>{"exported_one"});
  CHECK(elf.defined(kNames, SymbolScope::kEverywhere) == std::set<std::string_view>{"exported_one", "hidden_one"});
}

TEST_CASE("this test itself is a program with a loader") {
  const MappedFile file("/proc/self/exe");
  const ElfFile elf(file.bytes());
  REQUIRE(elf.is_elf());
  REQUIRE(elf.interpreter().has_value());
  CHECK(elf.interpreter()->starts_with("/lib"));
  CHECK(elf.is_position_independent_executable() == (elf.type() == ET_DYN));
}

TEST_CASE("what is no regular file does not open") {
  const TemporaryFolder folder;
  const std::string root(folder.path());
  CHECK(MappedFile(root + "/absent").error() == ENOENT);
  CHECK(MappedFile(root).error() == EINVAL);
  REQUIRE(mkfifo((root + "/fifo").c_str(), 0600) == 0);
  CHECK(MappedFile(root + "/fifo").error() == EINVAL);
  std::ofstream(root + "/empty").flush();
  CHECK(MappedFile(root + "/empty").error() == 0);
  CHECK(MappedFile(root + "/empty").bytes().empty());
}

TEST_CASE("bytes that are no ELF file, or only its beginning, have no answers") {
  CHECK_FALSE(ElfFile({}).is_elf());
  const ByteVector text(1000, 'x');
  CHECK_FALSE(ElfFile(text).is_elf());
  const ByteVector magic = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB};
  CHECK_FALSE(ElfFile(magic).is_elf());
  ByteVector beginning = magic;
  beginning.resize(sizeof(Elf64_Ehdr) - 1);
  const ElfFile elf(beginning);
  CHECK(elf.is_elf());
  CHECK_FALSE(elf.has_program_headers());
  CHECK(elf.needed().empty());
}

TEST_CASE("of a 32-bit or big-endian file only the identity is read") {
  const TemporaryFolder folder;
  const ByteVector good = copy_of(build_library(folder));
  ByteVector bytes = good;
  bytes[EI_CLASS] = ELFCLASS32;
  CHECK_FALSE(ElfFile(bytes).is_64_bit());
  CHECK(ElfFile(bytes).needed().empty());
  bytes = good;
  bytes[EI_DATA] = ELFDATA2MSB;
  CHECK_FALSE(ElfFile(bytes).is_little_endian());
  CHECK(ElfFile(bytes).defined(kNames, SymbolScope::kEverywhere).empty());
}

TEST_CASE("tables that lie outside of the file read as absent") {
  const TemporaryFolder folder;
  const ByteVector good = copy_of(build_library(folder));
  for (const std::uint64_t offset : {good.size() - 1, good.size(), SIZE_MAX, SIZE_MAX - 63}) {
    Elf64_Ehdr header = header_of(good);
    header.e_phoff = offset;
    header.e_shoff = offset;
    ByteVector bytes = good;
    overwrite(bytes, 0, header);
    const ElfFile elf(bytes);
    CHECK_FALSE(elf.has_program_headers());
    CHECK_FALSE(elf.has_section(".text"));
    CHECK(elf.defined(kNames, SymbolScope::kEverywhere).empty());
  }
}

TEST_CASE("a section count from the first section is believed as far as the file goes") {
  const TemporaryFolder folder;
  const ByteVector good = copy_of(build_library(folder));
  Elf64_Ehdr header = header_of(good);
  Elf64_Shdr first = {};
  first.sh_size = header.e_shnum;
  first.sh_link = header.e_shstrndx;
  header.e_shnum = 0;
  header.e_shstrndx = SHN_XINDEX;
  ByteVector bytes = good;
  overwrite(bytes, 0, header);
  overwrite(bytes, header.e_shoff, first);
  CHECK(ElfFile(bytes).has_section(".text"));
  first.sh_size = UINT64_MAX;
  overwrite(bytes, header.e_shoff, first);
  CHECK_FALSE(ElfFile(bytes).has_section(".text"));
}

TEST_CASE("a program header's strings end within it") {
  const MappedFile file("/proc/self/exe");
  const ByteVector good(file.bytes().begin(), file.bytes().begin() + 4096);
  const Elf64_Ehdr header = header_of(good);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, good.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type != PT_INTERP) continue;
    ByteVector bytes = good;
    bytes[segment.p_offset + segment.p_filesz - 1] = 'x';  // was the NUL
    CHECK(ElfFile(bytes).interpreter() == std::string_view());
    segment.p_offset = UINT64_MAX;
    overwrite(bytes, header.e_phoff + i * sizeof(segment), segment);
    CHECK(ElfFile(bytes).interpreter() == std::string_view());
  }
}

TEST_CASE("a file cut anywhere does no harm") {
  const TemporaryFolder folder;
  const ByteVector good = copy_of(build_library(folder));
  REQUIRE(ask_everything(good) > 0);
  for (std::size_t size = 0; size < good.size(); size += size < 1024 ? 1 : 61) {
    // A vector of just that size, so that the sanitizer sees one byte too many.
    ask_everything(ByteVector(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
  }
}

TEST_CASE("damaged bytes do no harm") {
  const TemporaryFolder folder;
  const ByteVector good = copy_of(build_library(folder));
  const std::size_t section_headers = header_of(good).e_shoff;
  std::mt19937 random(20240607);  // fixed: a failure must come back
  for (int round = 0; round < 3000; ++round) {
    ByteVector bytes = good;
    for (int change = 0; change < 8; ++change) {
      // Half of them in the headers, where it hurts.
      const bool at_end = random() % 2 == 0;
      const std::size_t begin = at_end ? section_headers : std::size_t{EI_NIDENT};
      const std::size_t size = at_end ? bytes.size() - section_headers : std::size_t{1024};
      bytes[begin + random() % size] = static_cast<unsigned char>(random() % 4 == 0 ? 0xff : random());
    }
    ask_everything(bytes);
  }
}
