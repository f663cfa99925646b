// SPDX-License-Identifier: Apache-2.0
//
// Where a thread may not be made to call: stacks are made up here from addresses of real functions of this process.
#include "cli/trace/call_safety.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::int64_t kRuns = -1;

std::uint64_t address_of(const char* name) {
  void* handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(handle != nullptr);
  const auto address = reinterpret_cast<std::uint64_t>(dlsym(handle, name));
  dlclose(handle);
  INFO(name);
  REQUIRE(address != 0);
  return address;
}

// From the innermost to main, all of it known.
UnwoundStack stack_of(std::initializer_list<std::uint64_t> addresses, UnwindEnd end = UnwindEnd::kOutermost) {
  UnwoundStack stack;
  for (const std::uint64_t address : addresses) stack.frames.push_back({address, 0});
  stack.end = end;
  return stack;
}

std::uint64_t own_code() {
  return reinterpret_cast<std::uint64_t>(&stack_of);
}

class Fixture {
 public:
  Fixture() { REQUIRE(safety_.refresh()); }
  bool permits(const UnwoundStack& stack, std::int64_t call) const { return objection(stack, call).empty(); }
  std::string objection(const UnwoundStack& stack, std::int64_t call) const {
    return std::string(safety_.objection(stack, call));
  }
  const CallSafety& safety() const { return safety_; }
  // A sanitizer brings an allocator of its own, which is a reason by itself.
  bool is_sanitized() const { return safety_.modules().program_has_allocator(); }

 private:
  CallSafety safety_{getpid()};
};

TEST_CASE("neither the allocator nor what leads into the loader is interrupted", "[remote]") {
  const Fixture fixture;
  for (const char* name : {"malloc", "free", "realloc", "posix_memalign", "malloc_trim", "dlopen", "dlclose",
                           "dl_iterate_phdr", "fork", "exit", "pthread_create", "setuid", "__cxa_atexit"}) {
    INFO(name);
    for (const std::int64_t call : {kRuns, std::int64_t{SYS_futex}, std::int64_t{SYS_epoll_wait}}) {
      CHECK(fixture.objection(stack_of({address_of("read"), address_of(name) + 3, own_code()}), call) ==
            "is in a function of libc that must not be interrupted");
    }
  }
  const LoadedModule* loader = fixture.safety().modules().with_role(ModuleRole::kLoader);
  REQUIRE(loader != nullptr);
  const std::uint64_t in_loader = loader->code.front().start + 100;
  CHECK(fixture.objection(stack_of({in_loader, own_code()}), SYS_epoll_wait) == "is in the dynamic loader");
}

TEST_CASE("the allocator's inner functions are its too", "[remote]") {
  const Fixture fixture;
  // Just before and behind those that have names.
  for (const std::uint64_t address : {address_of("malloc") - 1, address_of("calloc") - 1, address_of("free") - 1}) {
    CHECK_FALSE(fixture.permits(stack_of({address, own_code()}), SYS_epoll_wait));
  }
}

TEST_CASE("what sleeps without a lock may be called in its sleep", "[remote]") {
  const Fixture fixture;
  if (fixture.is_sanitized()) return;
  const UnwoundStack joining = stack_of({address_of("pthread_join") + 3, own_code()});
  CHECK(fixture.permits(joining, SYS_futex));
  CHECK_FALSE(fixture.permits(joining, kRuns));
  const UnwoundStack waiting = stack_of({address_of("pthread_cond_wait") + 3, own_code()});
  CHECK(fixture.permits(waiting, SYS_futex));
  CHECK(fixture.permits(waiting, kRuns));
}

TEST_CASE("a stack that cannot be followed is only trusted in a wait for events", "[remote]") {
  const Fixture fixture;
  const UnwoundStack stack = stack_of({address_of("epoll_wait") + 3, own_code(), 0x1000}, UnwindEnd::kUnknownCaller);
  CHECK(fixture.permits(stack, SYS_epoll_wait));
  CHECK_FALSE(fixture.permits(stack, SYS_futex));
  CHECK_FALSE(fixture.permits(stack, kRuns));
}

TEST_CASE("a thread without code of the program's is beginning or ending", "[remote]") {
  const Fixture fixture;
  if (fixture.is_sanitized()) return;
  const UnwoundStack stack = stack_of({address_of("read"), address_of("clone")});
  CHECK(fixture.objection(stack, kRuns) == "is just beginning or ending");
  CHECK(fixture.objection(stack, SYS_futex) == "is just beginning or ending");
  CHECK(fixture.permits(stack, SYS_rt_sigtimedwait));  // as glibc's own threads for timers wait
}

TEST_CASE("signal handlers are left alone", "[remote]") {
  const Fixture fixture;
  REQUIRE(fixture.safety().libc().has_value());
  const std::uint64_t back = fixture.safety().libc()->signal_return;
  CHECK(fixture.objection(stack_of({own_code(), back - 1, own_code()}), SYS_epoll_wait) == "is in a signal handler");
  CHECK(fixture.objection(stack_of({back, own_code()}), kRuns) == "is in a signal handler");
}

TEST_CASE("only a stack whose size is known is used", "[remote]") {
  const Fixture fixture;
  const auto thread_pointer = [] { return reinterpret_cast<std::uint64_t>(__builtin_thread_pointer()); };
  const auto here = [] { return reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)); };
  const auto objection = [](pid_t tid, std::uint64_t stack, std::uint64_t thread, std::size_t size) {
    CallSafety safety(getpid());
    safety.refresh();
    return std::string(safety.objection_to_stack(tid, stack, thread, size));
  };
  CHECK(objection(getpid(), here(), thread_pointer(), 4096).empty());
  static char block[1U << 20U];
  const auto elsewhere = reinterpret_cast<std::uint64_t>(block) + sizeof block;
  CHECK(objection(getpid(), elsewhere, thread_pointer(), 4096) == "is on a stack of the program's making");
  CHECK(objection(getpid(), here(), thread_pointer(), std::size_t{1} << 40U) == "has too little stack left");
  CHECK(objection(getpid(), 0x1000, thread_pointer(), 4096) == "is on a stack that is not mapped");
  std::thread([&] {
    const auto tid = static_cast<pid_t>(syscall(SYS_gettid));
    CHECK(objection(tid, here(), thread_pointer(), 4096).empty());
    CHECK(objection(tid, elsewhere, thread_pointer(), 4096) == "is on a stack of the program's making");
    CHECK(objection(tid, here(), thread_pointer(), std::size_t{1} << 40U) == "has too little stack left");
  }).join();
}

TEST_CASE("a restartable sequence is not left", "[remote]") {
  const Fixture fixture;
  struct {
    std::uint32_t version, flags;
    std::uint64_t start, size, abort;
  } sequence = {0, 0, 0x5000, 0x20, 0x6000};
  struct {
    std::uint32_t start_processor, processor;
    std::uint64_t current;
  } area = {0, 0, reinterpret_cast<std::uint64_t>(&sequence)};
  const auto address = reinterpret_cast<std::uint64_t>(&area);
  CHECK(fixture.safety().is_in_sequence(address, 0x5000));
  CHECK(fixture.safety().is_in_sequence(address, 0x501f));
  CHECK_FALSE(fixture.safety().is_in_sequence(address, 0x4fff));
  CHECK_FALSE(fixture.safety().is_in_sequence(address, 0x5020));
  CHECK_FALSE(fixture.safety().is_in_sequence(0, 0x5000));
  area.current = 0;
  CHECK_FALSE(fixture.safety().is_in_sequence(address, 0x5000));
}

}  // namespace
}  // namespace leakwatch
