// SPDX-License-Identifier: Apache-2.0
//
// The bytes that an ARM kernel would read back, at the offsets of its headers. They are checked on any machine; that
// they are taken is shown in tests/emulated/.
#include "cli/trace/remote_call_aarch64.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "tests/unit/catch.h"

namespace leakwatch::aarch64 {
namespace {

constexpr std::uint64_t kStack = 0x7ffff123, kReturn = 0xfff0'0000, kBlocked = 0xabcd;
constexpr std::size_t kFrame = 4688, kMask = 168, kX = 312, kStackPointer = 560, kPc = 568, kState = 576,
                      kRecords = 592;

template <class Number = std::uint64_t>
Number number_at(const CallImage& image, std::uint64_t address) {
  Number number{};
  REQUIRE(address - image.address + sizeof number <= image.bytes.size());
  std::memcpy(&number, image.bytes.data() + (address - image.address), sizeof number);
  return number;
}

ThreadContext some_thread() {
  ThreadContext thread;
  for (std::size_t index = 0; index < thread.registers.x.size(); ++index) thread.registers.x[index] = 1000 + index;
  thread.registers.stack_pointer = kStack;
  thread.registers.pc = 0x4000;
  thread.registers.state = 0x6000'0c00;  // with a kind of branch
  for (std::size_t index = 0; index < thread.floating.vectors.size(); ++index)
    thread.floating.vectors[index] = static_cast<unsigned char>(index * 7);
  thread.floating.status = 0x11;
  thread.floating.control = 0x22;
  thread.signal_mask = 0x5;
  return thread;
}

TEST_CASE("a call on ARM comes back to the thread as it was", "[remote]") {
  const ThreadContext thread = some_thread();
  CallImageBuilder builder(thread, thread.registers, kReturn);
  const std::uint64_t text = builder.add("text");
  const Invocation calls[] = {{0x8000, {text, 2, 3, 4, 5, 6}}, {0x9000, {7}}};
  const CallImage image = builder.build(calls, kBlocked);

  // What the first function finds.
  CHECK(image.registers.pc == 0x8000);
  CHECK(image.registers.x[0] == text);
  CHECK(image.registers.x[5] == 6);
  CHECK(image.registers.x[30] == kReturn);
  CHECK(image.registers.state == 0x6000'0000);
  CHECK(image.floating.control == 0);
  CHECK(image.address == image.registers.stack_pointer);
  CHECK(image.address % 16 == 0);
  CHECK(number_at<std::uint32_t>(image, text) == 0x74786574);
  CHECK(image.address + image.bytes.size() == (kStack & ~std::uint64_t{15}));

  // It returns into the second one.
  const std::uint64_t second = image.registers.stack_pointer;
  CHECK(number_at(image, second + kPc) == 0x9000);
  CHECK(number_at(image, second + kX) == 7);
  CHECK(number_at(image, second + kX + std::uint64_t{30} * 8) == kReturn);
  CHECK(number_at(image, second + kMask) == kBlocked);
  const std::uint64_t last = number_at(image, second + kStackPointer);
  CHECK(last == second + kFrame);
  CHECK(last % 16 == 0);

  // And that into the thread.
  for (std::size_t index = 0; index < 31; ++index) CHECK(number_at(image, last + kX + index * 8) == 1000 + index);
  CHECK(number_at(image, last + kStackPointer) == kStack);
  CHECK(number_at(image, last + kPc) == 0x4000);
  CHECK(number_at(image, last + kState) == 0x6000'0c00);
  CHECK(number_at(image, last + kMask) == 0x5);
}

TEST_CASE("a frame on ARM has the floating-point registers and an end", "[remote]") {
  const ThreadContext thread = some_thread();
  CallImageBuilder builder(thread, thread.registers, kReturn);
  const Invocation call{0x8000, {}};
  const CallImage image = builder.build({&call, 1}, kBlocked);
  const std::uint64_t record = image.address + kRecords;
  CHECK(number_at<std::uint32_t>(image, record) == 0x46508001);
  CHECK(number_at<std::uint32_t>(image, record + 4) == 528);
  CHECK(number_at<std::uint32_t>(image, record + 8) == 0x11);
  CHECK(number_at<std::uint32_t>(image, record + 12) == 0x22);
  CHECK(std::memcmp(image.bytes.data() + kRecords + 16, thread.floating.vectors.data(), 512) == 0);
  CHECK(number_at(image, record + 528) == 0);
  CHECK(number_at<std::uint32_t>(image, image.address + 128 + 24) == 0x10);  // no such flags of an alternate stack
}

constexpr std::uint32_t kEnter = 0xd4000001, kOther = 0xd503201f;  // svc #0, nop

Registers in_call(std::int64_t number, std::array<std::uint64_t, 4> arguments) {
  Registers registers = some_thread().registers;
  std::copy(arguments.begin(), arguments.end(), registers.x.begin());
  registers.x[8] = static_cast<std::uint64_t>(number);
  return registers;
}

TEST_CASE("the frame of a thread on ARM has what SVE has beyond", "[remote]") {
  ThreadContext thread = some_thread();
  thread.vector_length = 64;
  thread.wide_vectors.resize(std::size_t{546} * 4);
  for (std::size_t index = 0; index < thread.wide_vectors.size(); ++index)
    thread.wide_vectors[index] = static_cast<char>(index * 5 + 1);
  CallImageBuilder builder(thread, thread.registers, kReturn);
  const Invocation calls[] = {{0x8000, {}}, {0x9000, {}}};
  const CallImage image = builder.build(calls, kBlocked);
  const std::uint64_t second = image.registers.stack_pointer;
  CHECK(number_at<std::uint32_t>(image, second + kRecords + 528) == 0);  // it is entered without
  const std::uint64_t record = second + kFrame + kRecords + 528;
  CHECK(number_at<std::uint32_t>(image, record) == 0x53564501);
  CHECK(number_at<std::uint32_t>(image, record + 4) == 2208);  // 16 and 2184, rounded up to sixteens
  CHECK(number_at<std::uint16_t>(image, record + 8) == 64);
  CHECK(std::memcmp(image.bytes.data() + (record + 16 - image.address), thread.wide_vectors.data(),
                    thread.wide_vectors.size()) == 0);
  CHECK(number_at(image, record + 2208) == 0);
}

TEST_CASE("a system call on ARM is made again when it ended with EINTR", "[remote]") {
  constexpr auto kInterrupted = static_cast<std::uint64_t>(-EINTR);
  const Registers registers = in_call(SYS_epoll_pwait, {kInterrupted});
  CHECK(would_see_interruption(registers, kEnter));
  CHECK_FALSE(would_see_interruption(registers, kOther));
  CHECK_FALSE(would_see_interruption(in_call(SYS_epoll_pwait, {0}), kEnter));
  CHECK_FALSE(would_see_interruption(in_call(SYS_close, {kInterrupted}), kEnter));  // it has closed all the same
  const Registers again = made_again(registers, 5);
  CHECK(again.pc == registers.pc - 4);
  CHECK(again.x[0] == 5);
  CHECK(again.x[8] == SYS_epoll_pwait);
}

TEST_CASE("a handler on ARM that has come back to a call is told by its frame", "[remote]") {
  const Registers registers = some_thread().registers;
  std::string below(8192, '\xaa');
  CHECK_FALSE(has_frame_of_handler(registers, below));
  const std::uint64_t frame[] = {registers.x[29], registers.x[30], registers.stack_pointer, registers.pc};
  std::memcpy(below.data() + 1608, frame, sizeof frame);
  CHECK(has_frame_of_handler(registers, below));
  Registers elsewhere = registers;
  elsewhere.pc += 4;
  CHECK_FALSE(has_frame_of_handler(elsewhere, below));
  CHECK_FALSE(has_frame_of_handler(registers, ""));
  CHECK(slept_here(registers, {registers.stack_pointer, registers.pc}));
  CHECK_FALSE(slept_here(registers, {registers.stack_pointer - 16, registers.pc}));
  CHECK_FALSE(slept_here(registers, {}));
}

TEST_CASE("a thread on ARM is in the call that it sleeps in and makes again", "[remote]") {
  const CallCode entering = {kOther, kEnter}, running = {kEnter, kOther};
  CHECK(call_in_progress(in_call(SYS_epoll_pwait, {}), entering) == SYS_epoll_pwait);
  CHECK(call_in_progress(in_call(SYS_epoll_pwait, {}), running) == -1);
  CHECK(call_in_progress(in_call(SYS_futex, {0, FUTEX_WAIT_PRIVATE}), entering) == SYS_futex);
  // It may be just about to make these, with a lock held over them.
  CHECK(call_in_progress(in_call(SYS_futex, {0, FUTEX_WAKE_PRIVATE}), entering) == -1);
  CHECK(call_in_progress(in_call(SYS_munmap, {}), entering) == -1);
}

TEST_CASE("how a thread on ARM goes on by itself", "[remote]") {
  const CallCode entering = {kOther, kEnter}, running = {kEnter, kOther};
  const Registers waits = in_call(SYS_epoll_pwait, {3, 0x7fff0000, 1, 0xffffffff});
  const auto resumption = find_resumption(waits, entering);
  REQUIRE(resumption);
  CHECK(resumption->registers == waits);
  CHECK(resumption->effect == RestartEffect::kNoneIfRepaired);
  const auto of_unknown = find_resumption(in_call(SYS_munmap, {}), entering);
  REQUIRE(of_unknown);
  CHECK(of_unknown->effect == RestartEffect::kNone);
  const Registers runs = in_call(SYS_nanosleep, {});
  CHECK(find_resumption(runs, entering)->effect == RestartEffect::kProlonged);
  CHECK(find_resumption(runs, running)->effect == RestartEffect::kNone);
}

TEST_CASE("a call on ARM that the kernel took up is told by the code that made it", "[remote]") {
  const auto moving = [](std::uint32_t number) { return CallCode{0xd2800008 | number << 5U, kEnter}; };
  const Registers registers = in_call(SYS_restart_syscall, {});
  CHECK(has_call_taken_up(registers, moving(SYS_nanosleep)));
  CHECK_FALSE(has_call_taken_up(registers, {kEnter, kOther}));
  CHECK_FALSE(has_call_taken_up(in_call(SYS_nanosleep, {}), moving(SYS_nanosleep)));
  CHECK(find_call_number(moving(SYS_nanosleep)).kind == CallNumberPlace::Kind::kInCode);
  CHECK(find_call_number(moving(SYS_nanosleep)).value == SYS_nanosleep);
  CHECK(find_call_number({0x52800008 | 7U << 5U, kEnter}).value == 7);
  CHECK(find_call_number({0xaa0103e8, kEnter}).kind == CallNumberPlace::Kind::kUnknown);  // mov x8, x1
  const auto resumption = find_resumption(registers, moving(SYS_nanosleep), SYS_nanosleep);
  REQUIRE(resumption);
  CHECK(resumption->registers.x[8] == SYS_nanosleep);
  CHECK(resumption->effect == RestartEffect::kProlonged);
  CHECK_FALSE(find_resumption(registers, moving(SYS_nanosleep)));
  CHECK_FALSE(find_resumption(registers, moving(SYS_read), SYS_read));  // one that is not taken up
}

TEST_CASE("registers on ARM that frames do not have are not lost", "[remote]") {
  ThreadContext thread = some_thread();
  CHECK(objection_to_state(thread, false).empty());
  thread.wide_vectors.resize(std::size_t{546} * 6);
  CHECK(objection_to_state(thread, false).empty());
  thread.wide_vectors.resize(std::size_t{546} * 7);
  CHECK(objection_to_state(thread, true).empty());  // a system call leaves them undefined
  CHECK_FALSE(objection_to_state(thread, false).empty());
  thread.wide_vectors.clear();
  thread.has_matrices = true;
  CHECK_FALSE(objection_to_state(thread, true).empty());
  thread.has_matrices = false;
  thread.has_guarded_stack = true;
  CHECK_FALSE(objection_to_state(thread, true).empty());
}

TEST_CASE("the place of errno is read from ARM code", "[remote]") {
  // As glibc 2.36 has it at 0x27c20: adrp x0, 0x19f000; ldr x0, [x0, #3520]; mrs x1, tpidr_el0; add x0, x1, x0; ret
  std::array<std::uint32_t, 6> code = {0xd503245f, 0x90000bc0, 0xf946e000, 0xd53bd041, 0x8b000020, 0xd65f03c0};
  const auto text = [&](std::size_t from) {
    return std::string_view(reinterpret_cast<const char*>(code.data() + from), (code.size() - from) * sizeof code[0]);
  };
  CHECK(find_errno_offset_slot(text(1), 0x27c20) == 0x19f000 + 3520);
  CHECK(find_errno_offset_slot(text(0), 0x27c1c) == 0x19f000 + 3520);  // with a landing pad
  CHECK_FALSE(find_errno_offset_slot(text(2), 0x27c20));
  CHECK_FALSE(find_errno_offset_slot(text(4), 0x27c20));
  code[1] = 0xd0ffffe0;  // two pages back
  CHECK(find_errno_offset_slot(text(1), 0x7000010) == 0x6ffe000 + 3520);
}

TEST_CASE("the return from a signal handler is found in ARM code", "[remote]") {
  const std::uint32_t code[] = {0xd503201f, 0xd2801168, 0xd4000001};
  const std::string_view bytes(reinterpret_cast<const char*>(code), sizeof code);
  CHECK(find_signal_return(bytes) == 4);
  CHECK(!find_signal_return(bytes.substr(0, 8)));
  CHECK(!find_signal_return(bytes.substr(1)));  // an instruction is never there
}

}  // namespace
}  // namespace leakwatch::aarch64
