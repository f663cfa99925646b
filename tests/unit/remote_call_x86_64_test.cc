// SPDX-License-Identifier: Apache-2.0
//
// The machine's part of a remote call on literals; remote_call_test.cc shows that a processor agrees.
#include "cli/trace/remote_call_x86_64.h"

#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "tests/unit/catch.h"

namespace leakwatch::x86_64 {
namespace {

using namespace std::string_view_literals;

using Code = std::array<unsigned char, kCallCodeSize>;
constexpr Code kNoMove = {0, 0, 0, 0, 0, 0x0f, 0x05};
constexpr Code kMovePoll = {0xb8, 7, 0, 0, 0, 0x0f, 0x05};

user_regs_struct in_call(std::int64_t number, std::int64_t result, std::uint64_t third_argument = 0) {
  user_regs_struct registers{};
  registers.rip = 0x401000;
  registers.rsp = 0x7ffd0000;
  registers.rdx = third_argument;
  registers.r10 = 0xffffffff;
  registers.orig_rax = static_cast<unsigned long long>(number);
  registers.rax = static_cast<unsigned long long>(result);
  return registers;
}

TEST_CASE("a call that was not broken is not made again") {
  for (const user_regs_struct& registers :
       {in_call(-1, -EINTR), in_call(SYS_read, 5), in_call(SYS_read, -EAGAIN), in_call(SYS_close, -EINTR)}) {
    CHECK_FALSE(has_broken_call(registers));
    CHECK(call_in_progress(registers, kNoMove) == -1);
    const auto resumption = find_resumption(registers, kNoMove);
    REQUIRE(resumption.has_value());
    CHECK(resumption->registers.rip == registers.rip);
    CHECK(resumption->registers.rax == registers.rax);
    CHECK(resumption->effect == RestartEffect::kNone);
  }
}

TEST_CASE("a broken call is made again from the instruction that made it") {
  for (const std::int64_t result : {-512, -513, -514, -516, -EINTR}) {
    const user_regs_struct registers = in_call(SYS_epoll_wait, result);
    CHECK(has_broken_call(registers));
    CHECK(call_in_progress(registers, kNoMove) == SYS_epoll_wait);
    CHECK(would_see_interruption(registers) == (result == -EINTR));
    const auto resumption = find_resumption(registers, kNoMove);
    REQUIRE(resumption.has_value());
    CHECK(resumption->registers.rip == registers.rip - 2);
    CHECK(resumption->registers.rax == SYS_epoll_wait);
    CHECK(resumption->effect == RestartEffect::kNoneIfRepaired);
  }
}

TEST_CASE("a call that the kernel took up is told by the code that made it") {
  const user_regs_struct registers = in_call(SYS_restart_syscall, -516, 60000);
  CHECK(has_call_taken_up(registers, kNoMove));
  CHECK_FALSE(has_call_taken_up(in_call(SYS_poll, -516), kNoMove));
  CHECK_FALSE(has_call_taken_up(in_call(SYS_restart_syscall, 0), kNoMove));
  const auto known = find_resumption(registers, kMovePoll, SYS_poll);
  REQUIRE(known.has_value());
  CHECK(known->registers.rax == SYS_poll);
  CHECK(known->effect == RestartEffect::kProlonged);
  CHECK_FALSE(find_resumption(registers, kMovePoll).has_value());
  CHECK_FALSE(find_resumption(registers, kMovePoll, SYS_read).has_value());  // one that is not taken up
}

TEST_CASE("where the number of a call stands is told by the code that made it") {
  using Kind = CallNumberPlace::Kind;
  CHECK(find_call_number(kMovePoll).kind == Kind::kInCode);
  CHECK(find_call_number(kMovePoll).value == SYS_poll);
  const CallNumberPlace on_stack = find_call_number({0x48, 0x8b, 0x44, 0x24, 0x10, 0x0f, 0x05});
  CHECK(on_stack.kind == Kind::kOnStack);
  CHECK(on_stack.value == 0x10);
  CHECK(find_call_number({0x4c, 0x89, 0x5c, 0x24, 0x08, 0x0f, 0x05}).kind == Kind::kCallersArgument);
  CHECK(find_call_number(kNoMove).kind == Kind::kUnknown);
  CHECK(find_call_number(Code{}).kind == Kind::kUnknown);
}

TEST_CASE("an unknown call is made again only where the kernel would") {
  CHECK(find_resumption(in_call(SYS_mmap, -512), kNoMove).has_value());
  CHECK_FALSE(find_resumption(in_call(SYS_mmap, -EINTR), kNoMove).has_value());
  CHECK_FALSE(find_resumption(in_call(SYS_mmap, -516), kNoMove).has_value());
  CHECK_FALSE(find_resumption(in_call(SYS_read, -512), Code{}).has_value());  // nobody knows what made it
}

TEST_CASE("faults and glibc's own signal stay open during a call") {
  const std::uint64_t blocked = signals_blocked_in_call();
  const auto is_blocked = [&](int signal) { return (blocked >> static_cast<unsigned>(signal - 1) & 1U) != 0; };
  for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGPROF, 32, 34, 64}) CHECK(is_blocked(signal));
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 33}) CHECK_FALSE(is_blocked(signal));
}

// A thread as it could be, with the smallest state that a processor with XSAVE has.
ThreadContext some_thread() {
  ThreadContext thread;
  thread.registers = in_call(-1, 0);
  thread.registers.eflags = 0x246 | 0x400;
  thread.extended.resize(4096);
  const std::uint64_t features = 3;
  std::memcpy(thread.extended.data() + 464, &features, sizeof features);
  thread.signal_mask = 0x1234;
  return thread;
}

std::uint64_t number_at(const CallImage& image, std::uint64_t address) {
  std::uint64_t value = 0;
  REQUIRE(address >= image.address);
  REQUIRE(address - image.address + sizeof value <= image.bytes.size());
  std::memcpy(&value, image.bytes.data() + (address - image.address), sizeof value);
  return value;
}

TEST_CASE("functions are entered one after the other, each aligned as a call leaves the stack") {
  const ThreadContext thread = some_thread();
  constexpr std::uint64_t kReturn = 0x7f0000001000;
  CallImageBuilder builder(thread, thread.registers, kReturn);
  const std::uint64_t text = builder.add_text("a text");
  const Invocation calls[] = {{0x1111, {1, 2, 3, 4, 5, 6}}, {0x2222, {7}}, {0x3333, {}}};
  const CallImage image = builder.build(calls, signals_blocked_in_call());

  CHECK(image.address + image.bytes.size() <= thread.registers.rsp - 128);
  CHECK(std::memcmp(image.bytes.data() + (text - image.address), "a text", 7) == 0);
  CHECK(image.registers.rip == 0x1111);
  CHECK(image.registers.rdi == 1);
  CHECK(image.registers.r9 == 6);
  CHECK((image.registers.eflags & 0x400) == 0);
  CHECK(static_cast<std::int64_t>(image.registers.orig_rax) == -1);
  std::uint64_t stack = image.registers.rsp;
  std::uint64_t extended = 0;
  for (const std::uint64_t next : {std::uint64_t{0x2222}, std::uint64_t{0x3333}, std::uint64_t{0x401000}}) {
    CHECK(stack % 16 == 8);
    CHECK(number_at(image, stack) == kReturn);
    CHECK(number_at(image, stack + 176) == next);  // rip
    const bool is_last = next == 0x401000;
    CHECK(number_at(image, stack + 304) == (is_last ? thread.signal_mask : signals_blocked_in_call()));
    CHECK((number_at(image, stack + 232) != 0) == is_last);  // the floating-point state
    extended = number_at(image, stack + 232);
    CHECK(extended % 64 == 0);
    stack = number_at(image, stack + 168);  // rsp
  }
  CHECK(stack == thread.registers.rsp);
  // All that the kernel might bring in of it lies below the stack that is in use.
  CHECK(extended + thread.extended.size() <= thread.registers.rsp - 128);
}

TEST_CASE("the way back from a signal handler is found by its code") {
  CHECK(find_signal_return("\x90\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05\x90"sv) == 1);
  CHECK_FALSE(find_signal_return("\x48\xc7\xc0\x0e\x00\x00\x00\x0f\x05"sv).has_value());
  CHECK_FALSE(find_signal_return("").has_value());
}

TEST_CASE("the place of errno is read from the function that tells it") {
  const auto plain = "\x48\x8b\x05\x10\x00\x00\x00\x64\x48\x03\x04\x25\x00\x00\x00\x00\xc3"sv;
  const auto marked = "\xf3\x0f\x1e\xfa\x48\x8b\x05\xf0\xff\xff\xff\x64\x48\x03\x04\x25\x00\x00\x00\x00\xc3"sv;
  constexpr std::uint64_t kCode = 0x7f0000;
  CHECK(find_errno_offset_slot(plain, kCode) == kCode + 7 + 16);
  CHECK(find_errno_offset_slot(marked, kCode) == kCode + 4 + 7 - 16);
  CHECK_FALSE(find_errno_offset_slot(plain.substr(0, 10), kCode).has_value());
  CHECK_FALSE(find_errno_offset_slot("\xc3"sv, kCode).has_value());
  CHECK_FALSE(find_errno_offset_slot("", kCode).has_value());
}

}  // namespace
}  // namespace leakwatch::x86_64
