// SPDX-License-Identifier: Apache-2.0
//
// The symbolizer against real files, built here in each layout that is found in the field. nm, readelf and the comments
// in the sources say what is right; everything is compared with ==.
#include "symbolize/symbolizer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "symbolize/file_identity.h"
#include "tests/targets/symbols/fixture.h"
#include "tests/unit/catch.h"
#include "tests/unit/spawned_program.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

using fixture::address_of;
using fixture::build_id_of;
using fixture::compile;
using fixture::line_of;
using fixture::module_at;
using fixture::Path;
using fixture::run;

using Frames = std::vector<Frame>;

Frame frame_of(const std::string& source, const std::string& function, const std::string& system_name,
               const std::string& marker) {
  return {function, system_name, fixture::source(source), line_of(source, marker + " stands"),
          line_of(source, marker + " begins")};
}

Frame bare_frame(const std::string& function, const std::string& system_name) {
  return {function, system_name, "", 0, 0};
}

// What stands at the label `probe` of inlines.cc.
Frames inlined_frames() {
  const std::string innermost = "shop::(anonymous namespace)::innermost";
  return {frame_of("inlines.cc", innermost, innermost, "innermost"),
          frame_of("inlines.cc", "shop::tax::middle(int)", "_ZN4shop3tax6middleEi", "middle"),
          frame_of("inlines.cc", "shop::Cart::total(int) const", "_ZNK4shop4Cart5totalEi", "outermost")};
}

Frames exported_frames() {
  return {frame_of("plain.c", "exported", "exported", "exported")};
}

std::string hexadecimal(std::uint64_t value) {
  std::ostringstream stream;
  stream << "+0x" << std::hex << value;
  return stream.str();
}

std::string contents_of(const Path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const Path& file, const std::string& contents) {
  std::ofstream(file, std::ios::binary) << contents;
}

// Moves the debug information of a file to `debug`, as distributions do.
void split_debug_information(const Path& file, const Path& debug) {
  run({"objcopy", "--only-keep-debug", file, debug});
  run({"strip", "--strip-all", file});
}

TEST_CASE("all inlined functions are found, with lines, in every debug format", "[symbolizer]") {
  const std::string format =
      GENERATE("-gdwarf-4", "-gdwarf-5", "-gdwarf-5 -fdebug-types-section", "-gdwarf-5 -gz=zlib", "-gdwarf-4 -no-pie",
               "-gdwarf-5 -ffunction-sections -Wl,--gc-sections", "-gdwarf-5 -flto");
  INFO(format);
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 " + format, file);
  const Module module = module_at(file, build_id_of(file));
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module, address_of(file, "probe")) == inlined_frames());
  CHECK(symbolizer.source(module).functions);
  CHECK(symbolizer.source(module).lines);
}

TEST_CASE("split debug information is followed into the .dwo file", "[symbolizer]") {
  const std::string format = GENERATE("-gdwarf-4", "-gdwarf-5");
  INFO(format);
  const TemporaryFolder folder;
  const Path object = folder.path() / "inlines.o";
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 -gsplit-dwarf -c " + format, object);
  run({"g++", object, "-o", file});
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "probe")) == inlined_frames());
}

TEST_CASE("the least debug information still has functions, inlines and lines", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 -g1", file);
  Frames expected = inlined_frames();
  expected[0].function = expected[0].system_name = "innermost";  // -g1 leaves namespaces out
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "probe")) == expected);
}

TEST_CASE("a function without a linkage name takes its symbol's", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 -g", file);
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "hidden_probe")) ==
        Frames{frame_of("inlines.cc", "hidden(int)", "_ZL6hiddeni", "hidden")});
}

TEST_CASE("units are found without .debug_aranges", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 -g", file);
  run({"objcopy", "--remove-section", ".debug_aranges", file});
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "probe")) == inlined_frames());
}

TEST_CASE("a relative file is joined with the folder of the compilation", "[symbolizer]") {
  const std::string version = GENERATE("-gdwarf-4", "-gdwarf-5");
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "sub");
  write(folder.path() / "sub" / "one.c", "int one(int value) {\n  return value + 1;\n}\n");
  const Path file = folder.path() / "one.so";
  run({"env", "-C", folder.path(), "gcc", "-O2", "-g", version, "-shared", "-fPIC", "./sub/../sub/one.c", "-o", file});
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "one")) ==
        Frames{{"one", "one", folder.path() / "sub" / "one.c", 2, 1}});
}

TEST_CASE("C names are the same demangled or not", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -g -shared -fPIC", file);
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "exported")) == exported_frames());
}

TEST_CASE("assembly with lines only takes its name from the symbol table", "[symbolizer]") {
  const TemporaryFolder folder;
  write(folder.path() / "leaf.s", ".globl leaf\n.type leaf, @function\nleaf:\n  nop\n  ret\n.size leaf, . - leaf\n");
  const Path file = folder.path() / "leaf.so";
  run({"gcc", "-g", "-shared", "-Wl,-z,noexecstack", folder.path() / "leaf.s", "-o", file});
  Symbolizer symbolizer;
  const Frames frames = symbolizer.resolve(module_at(file), address_of(file, "leaf") + 1);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].function == "leaf");
  CHECK(frames[0].file == folder.path() / "leaf.s");
  CHECK(frames[0].line == 5);
}

TEST_CASE("a separate debug file is found by .gnu_debuglink", "[symbolizer]") {
  const std::string place = GENERATE(".", ".debug");
  INFO(place);
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  const Path debug = folder.path() / place / "inlines.debug";
  compile("inlines.cc", "-O2 -g -Wl,--build-id=none", file);
  const std::uint64_t probe = address_of(file, "probe");
  std::filesystem::create_directories(debug.parent_path());
  split_debug_information(file, debug);
  run({"objcopy", "--add-gnu-debuglink=" + debug.string(), file});
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), probe) == inlined_frames());
}

TEST_CASE("a separate debug file of another build is not used", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  const Path debug = folder.path() / "inlines.debug";
  compile("inlines.cc", "-O2 -g -Wl,--build-id=none", file);
  const std::uint64_t probe = address_of(file, "probe");
  split_debug_information(file, debug);
  run({"objcopy", "--add-gnu-debuglink=" + debug.string(), file});
  write(debug, contents_of(debug) + "changed");
  Symbolizer symbolizer;
  const std::string name = "inlines" + hexadecimal(probe);
  CHECK(symbolizer.resolve(module_at(file), probe) == Frames{bare_frame(name, name)});
  CHECK_FALSE(symbolizer.source(module_at(file)).lines);
}

// Builds `file` with its debug information below `store`, named by build id. Returns the address of the probe.
std::uint64_t build_with_store(const Path& file, const Path& store) {
  compile("inlines.cc", "-O2 -g -Wl,--build-id=sha1", file);
  const std::uint64_t probe = address_of(file, "probe");
  const std::string build_id = build_id_of(file);
  const Path debug = store / ".build-id" / build_id.substr(0, 2) / (build_id.substr(2) + ".debug");
  std::filesystem::create_directories(debug.parent_path());
  split_debug_information(file, debug);
  return probe;
}

TEST_CASE("a separate debug file is found by build id", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  const std::uint64_t probe = build_with_store(file, folder.path() / "store");
  Symbolizer symbolizer({.root = "", .debug_path = folder.path() / "store"});
  CHECK(symbolizer.resolve(module_at(file, build_id_of(file)), probe) == inlined_frames());
}

TEST_CASE("files and debug files of another root are found below it", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  const std::uint64_t probe = build_with_store(file, folder.path() / "usr/lib/debug");
  Symbolizer symbolizer({.root = folder.path(), .debug_path = ""});
  CHECK(symbolizer.resolve(module_at("/inlines", build_id_of(file)), probe) == inlined_frames());
}

TEST_CASE("a symbol table alone gives the function", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -shared -fPIC", file);
  Symbolizer symbolizer;
  const Module module = module_at(file);
  CHECK(symbolizer.resolve(module, address_of(file, "unexported")) == Frames{bare_frame("unexported", "unexported")});
  CHECK(symbolizer.source(module).functions);
  CHECK_FALSE(symbolizer.source(module).lines);
}

TEST_CASE("of two names for one address the exported one is taken", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -shared -fPIC", file);
  Symbolizer symbolizer;
  const std::uint64_t address = address_of(file, "exported");
  REQUIRE(address_of(file, "local_alias") == address);
  CHECK(symbolizer.resolve(module_at(file), address + 1) == Frames{bare_frame("exported", "exported")});
}

TEST_CASE("of two exported names for one address the plainer one is taken", "[symbolizer]") {
  const TemporaryFolder folder;
  write(folder.path() / "names.c",
        "int __take(int v) { return v; }\nint take(int) __attribute__((alias(\"__take\")));\n");
  const Path file = folder.path() / "names.so";
  run({"gcc", "-shared", "-fPIC", folder.path() / "names.c", "-o", file});
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "__take")) == Frames{bare_frame("take", "take")});
}

TEST_CASE("a symbol without a size reaches to the next one", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -shared -fPIC", file);
  Symbolizer symbolizer;
  const std::uint64_t after = address_of(file, "after_bare");
  CHECK(symbolizer.resolve(module_at(file), after - 1) == Frames{bare_frame("bare", "bare")});
  CHECK(symbolizer.resolve(module_at(file), after) == Frames{bare_frame("after_bare", "after_bare")});
}

TEST_CASE("a label inside a function does not hide it", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2", file);
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "hidden_probe")) ==
        Frames{bare_frame("hidden(int)", "_ZL6hiddeni")});
}

TEST_CASE("versions are no part of a symbol's name", "[symbolizer]") {
  const TemporaryFolder folder;
  write(folder.path() / "old.c", "int old_take(int v) { return v; }\n__asm__(\".symver old_take, take@ONE\");\n");
  write(folder.path() / "old.map", "ONE { global: take; local: *; };\n");
  const Path file = folder.path() / "old.so";
  run({"gcc", "-shared", "-fPIC", folder.path() / "old.c", "-o", file,
       "-Wl,--version-script=" + (folder.path() / "old.map").string()});
  const std::uint64_t address = address_of(file, "take@ONE");
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address) == Frames{bare_frame("take", "take")});
}

TEST_CASE("a stripped library still has its exported names", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -g -shared -fPIC", file);
  const std::uint64_t unexported = address_of(file, "unexported");
  run({"strip", "--strip-all", file});
  Symbolizer symbolizer;
  const std::uint64_t exported = address_of(file, "exported", "-D");
  CHECK(symbolizer.resolve(module_at(file), exported) == Frames{bare_frame("exported", "exported")});
  const std::string name = "libplain.so" + hexadecimal(unexported);
  CHECK(symbolizer.resolve(module_at(file), unexported) == Frames{bare_frame(name, name)});
}

TEST_CASE("the wrong build id makes a file useless", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -g -shared -fPIC -Wl,--build-id=sha1", file);
  const std::uint64_t address = address_of(file, "exported");
  std::string other = build_id_of(file);
  other.back() = other.back() == '0' ? '1' : '0';
  Symbolizer symbolizer;
  const std::string name = "libplain.so" + hexadecimal(address);
  CHECK(symbolizer.resolve(module_at(file, other), address) == Frames{bare_frame(name, name)});
  CHECK_FALSE(symbolizer.source(module_at(file, other)).functions);
  CHECK(symbolizer.resolve(module_at(file, build_id_of(file)), address) == exported_frames());
}

TEST_CASE("a file without the expected build id is not used", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -g -shared -fPIC -Wl,--build-id=none", file);
  Symbolizer symbolizer;
  CHECK_FALSE(symbolizer.source(module_at(file, "0123456789abcdef")).functions);
  CHECK(symbolizer.source(module_at(file)).functions);
}

TEST_CASE("a program whose file was replaced is read where its process has it", "[symbolizer]") {
  SpawnedProgram program(kSleeper, "-Wl,--build-id=sha1");
  const Path file = program.path();
  const std::uint64_t address = address_of(file, "main");
  const Module module = module_at(file, build_id_of(file));
  REQUIRE(program.start());
  std::filesystem::remove(file);
  SECTION("by nothing") {}
  SECTION("by another program") {
    compile("inlines.cc", "-Wl,--build-id=sha1", file);
  }
  CHECK_FALSE(Symbolizer().source(module).functions);
  Symbolizer symbolizer({.root = {}, .pid = program.pid(), .debug_path = {}});
  CHECK(symbolizer.resolve(module, address) == Frames{bare_frame("main", "main")});
}

// As Java's native libraries are, which are unpacked, loaded and deleted.
TEST_CASE("a library whose file was deleted is read where the process has it mapped", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -g -shared -fPIC -Wl,--build-id=sha1", file);
  const std::uint64_t address = address_of(file, "exported");
  Module module = module_at(file, build_id_of(file));
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  void* const mapped = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  REQUIRE(mapped != MAP_FAILED);
  const auto start = reinterpret_cast<std::uint64_t>(mapped);
  module.segments.push_back({start, start + 4096, 0});
  std::filesystem::remove(file);
  Symbolizer symbolizer({.root = {}, .pid = getpid(), .debug_path = {}});
  const bool may_follow = access(map_file_path(getpid(), start, start + 4096).c_str(), R_OK) == 0;
  CHECK(symbolizer.source(module).lines == may_follow);
  if (may_follow) CHECK(symbolizer.resolve(module, address) == exported_frames());
  munmap(mapped, 4096);
}

TEST_CASE("a file that is no program leaves the module and the offset", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libodd.so";
  const std::string kind = GENERATE("missing", "empty", "text", "header", "half header", "folder", "pipe");
  INFO(kind);
  if (kind == "empty") write(file, "");
  if (kind == "text") write(file, "#!/bin/sh\n");
  if (kind == "header") write(file, contents_of("/proc/self/exe").substr(0, 64));
  if (kind == "half header") write(file, contents_of("/proc/self/exe").substr(0, 20));
  if (kind == "folder") std::filesystem::create_directory(file);
  if (kind == "pipe") REQUIRE(mkfifo(file.c_str(), 0600) == 0);
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), 0x1a2b) == Frames{bare_frame("libodd.so+0x1a2b", "libodd.so+0x1a2b")});
  CHECK_FALSE(symbolizer.source(module_at(file)).functions);
  CHECK_FALSE(symbolizer.source(module_at(file)).lines);
}

TEST_CASE("an address outside of all code leaves the module and the offset", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  compile("plain.c", "-O2 -g -shared -fPIC", file);
  const std::uint64_t address = GENERATE(std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0});
  Symbolizer symbolizer;
  const std::string name = "libplain.so" + hexadecimal(address);
  CHECK(symbolizer.resolve(module_at(file), address) == Frames{bare_frame(name, name)});
}

TEST_CASE("a module without a name has one of its own", "[symbolizer]") {
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(Module{}, 16) == Frames{bare_frame("[unknown]+0x10", "[unknown]+0x10")});
}

TEST_CASE("two files under one path are told apart by build id", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "libplain.so";
  Symbolizer symbolizer;
  compile("plain.c", "-O0 -g -shared -fPIC", file);
  CHECK(symbolizer.source(module_at(file, build_id_of(file))).lines);
  std::filesystem::remove(file);
  compile("plain.c", "-O2 -shared -fPIC", file);
  CHECK_FALSE(symbolizer.source(module_at(file, build_id_of(file))).lines);
}

TEST_CASE("functions and inlined calls inside of blocks are found", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "nested.so";
  compile("nested.c", "-O1 -g -shared -fPIC", file);
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "leaf_probe")) ==
        Frames{frame_of("nested.c", "leaf", "leaf", "leaf"), frame_of("nested.c", "holder", "holder", "holder")});
  const Frames inner = symbolizer.resolve(module_at(file), address_of(file, "inner_probe"));
  REQUIRE(inner.size() == 1);
  CHECK(inner[0].line == line_of("nested.c", "inner stands"));
  CHECK(inner[0].start_line == line_of("nested.c", "inner begins"));
  CHECK(inner[0].function == "holder::inner");
}

TEST_CASE("an inlined function of a local class has all its scopes in its name", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "local.so";
  compile("local.cc", "-O2 -g -shared -fPIC", file);
  Symbolizer symbolizer;
  const std::string add = "nook::spot::Local::add";
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "add_probe")) ==
        Frames{frame_of("local.cc", add, add, "add"),
               frame_of("local.cc", "nook::spot(int)", "_ZN4nook4spotEi", "spot")});
}

TEST_CASE("discarded functions do not claim the code at low addresses", "[symbolizer]") {
  // Linkers leave a discarded function's debug information at zero. Here it is long enough to reach the real code.
  const TemporaryFolder folder;
  write(folder.path() / "low.c",
        "__attribute__((section(\".text.dead\"))) void dead(void) { __asm__(\".fill 0x4000, 1, 0x90\"); }\n"
        "__asm__(\".text\\n.globl _start\\n.type _start, @function\\n_start: ret\\n.size _start, . - _start\");\n");
  const Path file = folder.path() / "low";
  run({"gcc", "-g", "-O2", "-nostdlib", "-static-pie", "-fPIE", "-Wl,--gc-sections", folder.path() / "low.c", "-o",
       file});
  const std::uint64_t address = address_of(file, "_start");
  REQUIRE(address < 0x4000);
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address) == Frames{bare_frame("_start", "_start")});
}

TEST_CASE("debug information that leads in circles ends", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "endless.so";
  run({"gcc", "-shared", "-Wl,-z,noexecstack", fixture::source("endless.s"), "-o", file});
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(module_at(file), address_of(file, "trapped")) == Frames{bare_frame("trapped", "trapped")});
  CHECK(symbolizer.source(module_at(file)).lines);
}

TEST_CASE("the vDSO is known by our own, if it is the same one", "[symbolizer]") {
  const Module stranger = module_at("[vdso]", "0123456789abcdef");
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(stranger, 0xb10) == Frames{bare_frame("[vdso]+0xb10", "[vdso]+0xb10")});
  CHECK(symbolizer.resolve(module_at("[vdso]"), 0xb10) == Frames{bare_frame("[vdso]+0xb10", "[vdso]+0xb10")});

  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with("[vdso]")) continue;
    const std::uint64_t start = std::stoull(line, nullptr, 16);
    const std::uint64_t limit = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    const TemporaryFolder folder;
    const Path copy = folder.path() / "vdso.so";
    write(copy, {reinterpret_cast<const char*>(start), limit - start});  // NOLINT(performance-no-int-to-ptr)
    const std::uint64_t address = address_of(copy, "__vdso_clock_gettime@@LINUX_2.6", "-D");
    const Frames frames = symbolizer.resolve(module_at("[vdso]", build_id_of(copy)), address);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].function.ends_with("clock_gettime"));
    return;
  }
  WARN("this machine has no vDSO");
}

TEST_CASE("a truncated file does no harm", "[symbolizer]") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 -g", file);
  const std::uint64_t probe = address_of(file, "probe");
  const std::string whole = contents_of(file);
  for (int part = 0; part < 64; ++part) {
    const Path shorter = folder.path() / ("inlines." + std::to_string(part));
    write(shorter, whole.substr(0, whole.size() * static_cast<std::size_t>(part) / 64));
    Symbolizer symbolizer;
    const Frames frames = symbolizer.resolve(module_at(shorter), probe);
    REQUIRE_FALSE(frames.empty());
    CHECK_FALSE(frames.back().function.empty());
  }
}

// A number that looks random and is the same in every run.
std::uint64_t scramble(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

// Replaces four bytes of `whole` that stand between begin and begin + size.
std::string damage(std::string whole, std::size_t begin, std::size_t size, std::uint64_t seed) {
  for (std::uint64_t hit = 0; hit < 4; ++hit) {
    const std::uint64_t random = scramble(seed * 8 + hit);
    whole[begin + random % size] = static_cast<char>(random >> 56U);
  }
  return whole;
}

TEST_CASE("damaged debug information does no harm", "[symbolizer]") {
  const std::string version = GENERATE("-gdwarf-4", "-gdwarf-5");
  const TemporaryFolder folder;
  const Path file = folder.path() / "inlines";
  compile("inlines.cc", "-O2 " + version, file);
  const std::uint64_t probe = address_of(file, "probe");
  const std::string whole = contents_of(file);
  for (const std::string section : {".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", "all"}) {
    std::string sound = whole;
    if (section != "all") {
      const Path bytes = folder.path() / section;
      run({"objcopy", "--dump-section", section + "=" + bytes.string(), file, folder.path() / "same"});
      sound = contents_of(bytes);
    }
    const std::size_t begin = whole.find(sound);
    REQUIRE(begin != std::string::npos);
    for (std::uint64_t round = 1; round <= 60; ++round) {
      INFO(section << " round " << round);
      const Path damaged = folder.path() / "damaged";
      write(damaged, damage(whole, begin, sound.size(), round));
      Symbolizer symbolizer;
      const Frames frames = symbolizer.resolve(module_at(damaged), probe);
      REQUIRE_FALSE(frames.empty());
      CHECK_FALSE(frames.back().function.empty());
    }
  }
}

}  // namespace
}  // namespace leakwatch
