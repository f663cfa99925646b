// SPDX-License-Identifier: Apache-2.0
//
// Which module an address belonged to: by place, and by epoch where one library took another's place.
#include "cli/drain/module_map.h"

#include <cstring>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

Module executable() {
  return {"/bin/service", "", 0, {{0x1000, 0x2000, 0x1000}}};
}

RawModule announced(const std::string& path, std::uint64_t start, std::uint64_t limit, std::uint64_t epoch = 0) {
  RawModule raw;
  raw.path = path;
  raw.record.epoch = epoch;
  raw.record.start = start;
  raw.record.limit = limit;
  raw.record.bias = start;
  raw.record.segment_count = 1;
  raw.record.segments[0] = {start + 0x100, limit, 0x100};
  raw.record.path_size = static_cast<std::uint32_t>(path.size());
  return raw;
}

std::string path_of(const ModuleMap& map, std::uint64_t raw, std::uint64_t epoch = 0) {
  const CodeAddress at = map.locate(raw, epoch);
  return at.module < map.modules().size() ? map.modules()[at.module].path : "";
}

TEST_CASE("an address is found in the module that covers it") {
  ModuleMap map(executable(), "/home");
  map.add(announced("/lib/a.so", 0x10000, 0x20000));
  map.add(announced("/lib/b.so", 0x20000, 0x30000));
  CHECK(path_of(map, 0x1500) == "/bin/service");
  CHECK(path_of(map, 0x15000) == "/lib/a.so");
  CHECK(path_of(map, 0x25000) == "/lib/b.so");
  CHECK(map.locate(0x35000, 0).module == CodeAddress::kNoModule);
  CHECK(map.locate(0x500, 0).module == CodeAddress::kNoModule);
}

TEST_CASE("a return address belongs to the call before it") {
  ModuleMap map(executable(), "/home");
  map.add(announced("/lib/a.so", 0x10000, 0x20000));
  map.add(announced("/lib/b.so", 0x20000, 0x30000));
  CHECK(map.locate(0x20000, 0) == CodeAddress{0x1ffff, 1});  // a.so ends with a call that does not return
  CHECK(map.locate(0x10000, 0).module == CodeAddress::kNoModule);
  CHECK(map.locate(0x30000, 0) == CodeAddress{0x2ffff, 2});
}

TEST_CASE("an interrupted instruction is taken as it is") {
  ModuleMap map(executable(), "/home");
  map.add(announced("/lib/a.so", 0x10000, 0x20000));
  CHECK(map.locate(0x10000 | shared::kInterruptedFrame, 0) == CodeAddress{0x10000, 1});
  CHECK(map.locate(0x20000 | shared::kInterruptedFrame, 0).module == CodeAddress::kNoModule);
}

TEST_CASE("marks are frames of ours and not addresses") {
  const ModuleMap map({"/bin/all", "", 0, {{0, ~std::uint64_t{0}, 0}}}, "/");
  for (const shared::Mark mark : {shared::Mark::kTruncated, shared::Mark::kUnknownCaller}) {
    const auto raw = static_cast<std::uint64_t>(mark);
    CHECK(map.locate(raw, 0) == CodeAddress{raw, CodeAddress::kMarkFrame});
  }
  CHECK(map.locate(shared::kLastMark + 1, 0) == CodeAddress{shared::kLastMark, 0});
}

TEST_CASE("a library that took an unloaded one's place owns the later stacks only") {
  ModuleMap map(executable(), "/home");
  map.add(announced("/lib/old.so", 0x10000, 0x20000, 0));
  map.add(announced("/lib/new.so", 0x10000, 0x20000, 3));
  CHECK(path_of(map, 0x15000, 0) == "/lib/old.so");
  CHECK(path_of(map, 0x15000, 2) == "/lib/old.so");
  CHECK(path_of(map, 0x15000, 3) == "/lib/new.so");
  CHECK(path_of(map, 0x15000, 9) == "/lib/new.so");
}

TEST_CASE("a stack that is a little older than its module's announcement is still found") {
  ModuleMap map(executable(), "/home");
  map.add(announced("/lib/first.so", 0x10000, 0x20000, 5));
  map.add(announced("/lib/second.so", 0x10000, 0x20000, 7));
  CHECK(path_of(map, 0x15000, 4) == "/lib/first.so");
}

TEST_CASE("a library closed and opened again at its place is one module") {
  ModuleMap map(executable(), "/home");
  map.add(announced("/lib/a.so", 0x10000, 0x20000, 0));
  map.add(announced("/lib/b.so", 0x10000, 0x20000, 1));
  map.add(announced("/lib/a.so", 0x10000, 0x20000, 2));
  CHECK(map.modules().size() == 3);
  CHECK(path_of(map, 0x15000, 1) == "/lib/b.so");
  CHECK(path_of(map, 0x15000, 2) == "/lib/a.so");
}

TEST_CASE("what the target says of its main program completes module 0") {
  ModuleMap map(executable(), "/home");
  RawModule main_program = announced("", 0x1000, 0x4000);
  main_program.record.build_id_size = 3;
  std::memcpy(main_program.record.build_id, "\x0a\xff\x10", 3);
  map.add(main_program);
  REQUIRE(map.modules().size() == 1);
  CHECK(map.modules()[0].path == "/bin/service");
  CHECK(map.modules()[0].build_id == "0aff10");
  CHECK(map.modules()[0].bias == 0x1000);
  CHECK(map.modules()[0].segments == std::vector<Segment>{{0x1000, 0x4000, 0}});
  CHECK(path_of(map, 0x3000) == "/bin/service");
}

// An executable with a gap between its segments is announced as two, each at an address without an ELF header.
TEST_CASE("pieces of the main program that say only where they are leave its description as it is") {
  const Module known{"/bin/service", "0aff10", 0x1000, {{0x2000, 0x3000, 0x1000}, {0x600000, 0x601000, 0x2000}}};
  ModuleMap map(known, "/home");
  for (const std::uint64_t start : {0x2000, 0x600000}) {
    RawModule piece = announced("", start, start + 0x234);
    piece.record.bias = 0x1000;
    piece.record.segment_count = 0;
    map.add(piece);
  }
  REQUIRE(map.modules().size() == 1);
  CHECK(map.modules()[0] == known);
  CHECK(map.locate(0x2100, 0).module == 0);
  CHECK(map.locate(0x600100, 0).module == 0);
  CHECK(map.locate(0x300000, 0).module == CodeAddress::kNoModule);
}

TEST_CASE("paths become absolute, and the kernel's object gets its usual name") {
  ModuleMap map(executable(), "/srv/app");
  map.add(announced("plugins/x.so", 0x10000, 0x20000));
  map.add(announced("/lib/y.so", 0x20000, 0x30000));
  map.add(announced("linux-vdso.so.1", 0x30000, 0x40000));
  map.add(announced("linux-gate.so.1", 0x40000, 0x50000));
  CHECK(path_of(map, 0x15000) == "/srv/app/plugins/x.so");
  CHECK(path_of(map, 0x25000) == "/lib/y.so");
  CHECK(path_of(map, 0x35000) == "[vdso]");
  CHECK(path_of(map, 0x45000) == "[vdso]");
}

TEST_CASE("segments are widened to whole pages, as the process's map has them") {
  ModuleMap map(executable(), "/");
  RawModule raw = announced("/lib/a.so", 0x10000, 0x20000);
  raw.record.segments[0] = {0x11234, 0x13001, 0x1234};
  map.add(raw);
  CHECK(map.modules()[1].segments == std::vector<Segment>{{0x11000, 0x14000, 0x1000}});
}

TEST_CASE("a segment at the end of the address space is left out") {
  ModuleMap map(executable(), "/");
  RawModule raw = announced("/lib/a.so", 0x10000, 0x20000);
  raw.record.segments[0] = {0x1000, ~std::uint64_t{0}, 0};
  map.add(raw);
  CHECK(map.modules()[1].segments.empty());
}

TEST_CASE("a segment that ends before it begins is left out") {
  ModuleMap map(executable(), "/");
  RawModule raw = announced("/lib/a.so", 0x10000, 0x20000);
  raw.record.segment_count = 3;
  raw.record.segments[1] = {0x5000, 0x4000, 0};
  raw.record.segments[2] = {0x5000, 0x5000, 0};
  map.add(raw);
  CHECK(map.modules()[1].segments.size() == 1);
}

TEST_CASE("a stack is located address by address at its own epoch") {
  ModuleMap map(executable(), "/");
  map.add(announced("/lib/old.so", 0x10000, 0x20000, 0));
  map.add(announced("/lib/new.so", 0x10000, 0x20000, 1));
  const StackTrace trace = map.locate(RawStack{1, {0x15000, 0x1500, 0x99999, 1}});
  const StackTrace expected = {
      {0x14fff, 2}, {0x14ff, 0}, {0x99998, CodeAddress::kNoModule}, {1, CodeAddress::kMarkFrame}};
  CHECK(trace == expected);
}

}  // namespace
}  // namespace leakwatch
