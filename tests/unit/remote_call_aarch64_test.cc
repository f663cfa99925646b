// SPDX-License-Identifier: Apache-2.0
//
// The bytes that an ARM kernel would read back, at the offsets of its headers. They are checked on any machine; that
// they are taken is shown in tests/emulated/.
#include "cli/remote_call_aarch64.h"

#include <cerrno>
#include <cstring>

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

TEST_CASE("a system call on ARM is made again when it ended with EINTR", "[remote]") {
  constexpr std::uint32_t kSvc = 0xd4000001, kOther = 0xd503201f;
  Registers registers = some_thread().registers;
  registers.x[0] = static_cast<std::uint64_t>(-EINTR);
  registers.x[8] = 22;  // epoll_pwait
  const auto again = find_resumption(registers, SleepingCall{22, 5}, kSvc);
  REQUIRE(again);
  CHECK(again->pc == registers.pc - 4);
  CHECK(again->x[0] == 5);
  CHECK(again->x[8] == 22);
  CHECK(!find_resumption(registers, SleepingCall{23, 5}, kSvc));
  // It was seen before, by the program.
  CHECK(find_resumption(registers, std::nullopt, kSvc) == registers);
  CHECK(find_resumption(registers, SleepingCall{22, 5}, kOther) == registers);
  // The kernel has set it back itself.
  registers.x[0] = 5;
  CHECK(find_resumption(registers, SleepingCall{22, 5}, kOther) == registers);
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
