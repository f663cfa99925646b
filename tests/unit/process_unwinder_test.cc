// SPDX-License-Identifier: Apache-2.0
//
// The unwinder on copies of real stacks and on copies that make no sense. nm and readelf say what is right.
#include "symbolize/process_unwinder.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "cli/process/thread_files.h"
#include "symbolize/process_maps.h"
#include "symbolize/process_memory.h"
#include "symbolize/symbolizer.h"
#include "tests/unit/catch.h"
#include "tests/unit/thread_target.h"

namespace leakwatch {
namespace {

using fixture::address_of;
using Names = std::vector<std::string>;

constexpr std::size_t kMostFrames = 64;

// One sleeping thread of a target, copied.
struct Sleeper {
  explicit Sleeper(pid_t pid, std::size_t copied = 8192) : place(ThreadFiles(pid, pid).place()) {
    std::vector<char> bytes(copied);
    bytes.resize(read_process_memory(pid, place.stack_pointer, bytes.data(), bytes.size()));
    stack.add(place.stack_pointer, std::move(bytes));
  }
  ThreadPlace place;
  StackCopy stack;
};

MachineRegisters standing_at(std::uint64_t pc, std::uint64_t stack_pointer) {
  MachineRegisters registers;
  registers.set(MachineRegisters::kPc, pc);
  registers.set(MachineRegisters::kStackPointer, stack_pointer);
  return registers;
}

// The target's own functions on a stack, by a copy of its file that nobody strips or deletes.
Names own_names(const UnwoundStack& stack, const std::vector<Module>& modules, const std::string& copy) {
  Symbolizer symbolizer;
  Names names;
  for (const UnwoundFrame& frame : stack.frames) {
    if (frame.module != 0) continue;
    for (const Frame& found : symbolizer.resolve({copy, "", 0, {}}, frame.address - modules[0].bias)) {
      names.push_back(found.function);
    }
  }
  return names;
}

TEST_CASE("a sleeping main thread is walked to its beginning", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("main", 1, 1, "-Wl,--build-id=sha1");
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const Sleeper sleeper(target.pid());
  const UnwoundStack stack = unwinder.unwind(registers_of(sleeper.place), sleeper.stack, kMostFrames);
  CHECK(stack.end == UnwindEnd::kOutermost);
  CHECK(own_names(stack, unwinder.modules(), target.path()) == Names{"main_waits", "main", "_start"});
  CHECK(stack.frames[0].address == sleeper.place.pc);
  const std::uint64_t main = address_of(target.path(), "main") + unwinder.modules()[0].bias;
  CHECK(std::any_of(stack.frames.begin(), stack.frames.end(), [=](const UnwoundFrame& frame) {
    return frame.module == 0 && frame.address > main && frame.address < main + 0x1000;
  }));
}

TEST_CASE("modules are what is mapped, the program first", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const std::string layout = GENERATE("-pie", "-no-pie", "-Wl,-z,noseparate-code");
  INFO(layout);
  const ThreadTarget target("main", 1, 1, "-Wl,--build-id=sha1 " + layout);
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const std::vector<Module>& modules = unwinder.modules();
  CHECK(modules[0].path == target.path());
  CHECK(modules[0].build_id == fixture::build_id_of(target.path()));
  CHECK((modules[0].bias == 0) == (layout == "-no-pie"));
  CHECK(modules[0].segments.size() == 1);
  CHECK(std::any_of(modules.begin(), modules.end(), [](const Module& module) { return module.path == "[vdso]"; }));
  const Sleeper sleeper(target.pid());
  const UnwoundStack stack = unwinder.unwind(registers_of(sleeper.place), sleeper.stack, kMostFrames);
  CHECK(own_names(stack, modules, target.path()) == Names{"main_waits", "main", "_start"});
}

TEST_CASE("a program that was stripped, deleted or replaced since it started is still walked", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const std::string fate = GENERATE("deleted", "replaced");
  INFO(fate);
  const ThreadTarget target("main", 1, 1, "-Wl,--build-id=sha1");
  const std::string copy = target.path() + ".copy";
  const std::string build_id = fixture::build_id_of(copy);
  std::filesystem::remove(target.path());
  if (fate == "replaced") fixture::run({"strip", "-o", target.path(), "/bin/true"});
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  CHECK(unwinder.modules()[0].path == target.path());
  CHECK(unwinder.modules()[0].build_id == build_id);
  const Sleeper sleeper(target.pid());
  const UnwoundStack stack = unwinder.unwind(registers_of(sleeper.place), sleeper.stack, kMostFrames);
  CHECK(stack.end == UnwindEnd::kOutermost);
  CHECK(own_names(stack, unwinder.modules(), copy) == Names{"main_waits", "main", "_start"});
}

TEST_CASE("a stripped program is walked by its .eh_frame", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("main", 1, 1, "-s");
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const Sleeper sleeper(target.pid());
  const UnwoundStack stack = unwinder.unwind(registers_of(sleeper.place), sleeper.stack, kMostFrames);
  CHECK(stack.end == UnwindEnd::kOutermost);
  CHECK(std::count_if(stack.frames.begin(), stack.frames.end(),
                      [](const UnwoundFrame& frame) { return frame.module == 0; }) == 3);
}

TEST_CASE("the indexes of modules stay good when the maps change", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("churn", 1);
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const std::vector<Module> before = unwinder.modules();
  for (int round = 0; round < 50; ++round) REQUIRE(unwinder.refresh());
  const std::vector<Module>& after = unwinder.modules();
  REQUIRE(after.size() >= before.size());
  for (std::size_t index = 0; index < before.size(); ++index) CHECK(after[index] == before[index]);
}

TEST_CASE("the walk ends where nothing proves the next frame", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("main", 1);
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const Sleeper sleeper(target.pid());
  const auto whole = unwinder.unwind(registers_of(sleeper.place), sleeper.stack, kMostFrames);

  const auto shallow = unwinder.unwind(registers_of(sleeper.place), sleeper.stack, 2);
  CHECK(shallow.end == UnwindEnd::kDepthLimit);
  CHECK(shallow.frames == std::vector(whole.frames.begin(), whole.frames.begin() + 2));

  const auto uncopied = unwinder.unwind(registers_of(sleeper.place), {}, kMostFrames);
  CHECK(uncopied.end == UnwindEnd::kMemoryUnknown);
  CHECK(uncopied.missing >= sleeper.place.stack_pointer);
  CHECK(uncopied.missing < sleeper.place.stack_pointer + 4096);

  const auto generated = unwinder.unwind(standing_at(0x1000, sleeper.place.stack_pointer), sleeper.stack, kMostFrames);
  CHECK(generated.end == UnwindEnd::kUnknownCaller);
  CHECK(generated.frames == std::vector<UnwoundFrame>{{0x1000, UnwoundFrame::kNoModule}});

  CHECK(unwinder.unwind(standing_at(0, 0), sleeper.stack, kMostFrames).frames.empty());
}

TEST_CASE("a frame that needs an unknown register says so", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("framed", 3);
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const ThreadPlace place = ThreadFiles(target.pid(), target.counters().tid).place();
  std::vector<char> bytes(4096);
  bytes.resize(read_process_memory(target.pid(), place.stack_pointer, bytes.data(), bytes.size()));
  StackCopy stack;
  stack.add(place.stack_pointer, bytes);
  const auto unwound = unwinder.unwind(registers_of(place), stack, kMostFrames);
  CHECK(unwound.end == UnwindEnd::kRegisterUnknown);
  CHECK(own_names(unwound, unwinder.modules(), target.path()) == Names{"in_framed_epoll"});
}

TEST_CASE("no stack makes the walk fail or go on for ever", "[unwinder]") {
  SKIP_WITHOUT_PTRACE();
  const ThreadTarget target("main", 1);
  ProcessUnwinder unwinder(target.pid());
  REQUIRE(unwinder.refresh());
  const Sleeper sleeper(target.pid());
  std::vector<std::uint64_t> words(1024);
  std::uint64_t random = 1;
  for (int round = 0; round < 2000; ++round) {
    for (std::uint64_t& word : words) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      // Code and stack addresses at random, as what is left of one's own makes the longest false walks.
      const Module& module = unwinder.modules()[(random >> 40U) % unwinder.modules().size()];
      const Segment& code = module.segments.front();
      const bool is_code = (random >> 60U) < 12;
      word = is_code ? code.start + (random >> 20U) % (code.limit - code.start)
                     : sleeper.place.stack_pointer + (random >> 20U) % 8192;
    }
    std::vector<char> bytes(words.size() * sizeof words[0]);
    std::memcpy(bytes.data(), words.data(), bytes.size());
    StackCopy stack;
    stack.add(sleeper.place.stack_pointer, std::move(bytes));
    MachineRegisters registers = standing_at(words[0], sleeper.place.stack_pointer);
    registers.set(6, words[1]);
    CHECK(unwinder.unwind(registers, stack, kMostFrames).frames.size() <= kMostFrames);
  }
}

TEST_CASE("a process that is gone has no maps", "[unwinder]") {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  ProcessUnwinder unwinder(child);
  CHECK_FALSE(unwinder.refresh());
  CHECK(unwinder.modules().empty());
  CHECK(unwinder.mapping_limit(0x1000) == 0);
}

TEST_CASE("a stack copy only gives what it has", "[unwinder]") {
  StackCopy stack;
  std::vector<char> bytes(16, 1);
  stack.add(0x1000, bytes);
  stack.add(0x2000, bytes);
  std::uint64_t value = 0;
  CHECK(stack.read(0x1008, value));
  CHECK(value == 0x0101010101010101);
  CHECK(stack.read(0x2000, value));
  for (const std::uint64_t address : {0xfffULL, 0x1009ULL, 0x1010ULL, 0x2009ULL, 0ULL, ~0ULL}) {
    INFO(address);
    CHECK_FALSE(stack.read(address, value));
  }
  const StackCopy part = stack.portion(0x1004, 0x100c);
  CHECK(part.agrees(stack, 0x1004, 0x100c));
  CHECK_FALSE(part.agrees(stack, 0x1000, 0x100c));
  CHECK_FALSE(part.agrees(stack, 0x1004, 0x1004));
  CHECK(stack.portion(0x1004, 0x1011).empty());
}

TEST_CASE("lines of maps are read, others left out", "[unwinder]") {
  const std::vector<MemoryMapping> mappings = parse_maps(
      "1000-2000 r-xp 00003000 fd:01 77                         /a file (deleted)\n"
      "nonsense\n"
      "3000-2000 r-xp 00000000 00:00 0\n"
      "7f00-8f00 rw-p 00000000 00:00 0 \n"
      "9000-a000 r-xp 00000000 00:00 0                          [vdso]");
  REQUIRE(mappings.size() == 3);
  CHECK(mappings[0].start == 0x1000);
  CHECK(mappings[0].limit == 0x2000);
  CHECK(mappings[0].file_offset == 0x3000);
  CHECK(mappings[0].device == "fd:01");
  CHECK(mappings[0].inode == 77);
  CHECK(mappings[0].name == "/a file (deleted)");
  CHECK(mappings[0].executable);
  CHECK_FALSE(mappings[0].writable);
  CHECK(mappings[1].writable);
  CHECK(mappings[1].name.empty());
  CHECK(mappings[2].name == "[vdso]");
  CHECK(find_mapping(mappings, 0x7f00) == &mappings[1]);
  CHECK(find_mapping(mappings, 0x8f00) == nullptr);
  CHECK(find_mapping(mappings, 0xfff) == nullptr);
}

}  // namespace
}  // namespace leakwatch
