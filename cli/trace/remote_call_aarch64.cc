// SPDX-License-Identifier: Apache-2.0
//
// See the header. Layouts: the uapi headers of Linux for arm64, asm/sigcontext.h and asm/ucontext.h, and its signal.c
// for what is expected around them. The numbers of system calls are those of the machine that this is built for.

#include "cli/trace/remote_call_aarch64.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace leakwatch::aarch64 {

namespace {

constexpr std::uint32_t kEnterKernel = 0xd4000001;     // svc #0
constexpr std::uint32_t kNumberOfReturn = 0xd2801168;  // mov x8, #139
constexpr std::size_t kNumberRegister = 8, kReturnRegister = 30;

// Of PSTATE: single step, and what kind of branch came before, which a landing pad would check.
constexpr std::uint64_t kSingleStep = std::uint64_t{1} << 21U, kBranchType = std::uint64_t{3} << 10U;

// The kernel takes no alternate stack with flags that it does not know, and leaves the thread's as it is.
constexpr std::int32_t kNoSuchStackFlags = 0x10;

constexpr std::uint32_t kFloatingMagic = 0x46508001;     // FPSIMD_MAGIC
constexpr std::uint32_t kWideVectorsMagic = 0x53564501;  // SVE_MAGIC

struct FloatingRecord {
  std::uint32_t magic;
  std::uint32_t size;
  std::uint32_t status;
  std::uint32_t control;
  unsigned char vectors[512];
};
static_assert(sizeof(FloatingRecord) == 528);

struct WideVectorsRecord {
  std::uint32_t magic;
  std::uint32_t size;  // with the registers, which follow
  std::uint16_t vector_length;
  std::uint16_t flags;
  std::uint32_t reserved;
};
static_assert(sizeof(WideVectorsRecord) == 16);

constexpr std::size_t kRoomForRecords = 4096, kRecordAlignment = 16, kEndRecord = 16;

struct SignalFrame {
  char information[128];  // siginfo_t, which nobody reads
  std::uint64_t flags;
  std::uint64_t link;
  std::uint64_t alternate_stack;
  std::int32_t alternate_stack_flags;
  std::int32_t padding;
  std::uint64_t alternate_stack_size;
  std::uint64_t signal_mask;
  char room_for_signals[120];
  std::uint64_t unaligned;
  std::uint64_t fault_address;
  std::uint64_t x[31];
  std::uint64_t stack_pointer, pc, state;
  std::uint64_t unaligned_too;
  FloatingRecord floating;
  char more_records[kRoomForRecords - sizeof(FloatingRecord)];  // the last one has the size 0
};
static_assert(offsetof(SignalFrame, signal_mask) == 128 + 40);
static_assert(offsetof(SignalFrame, fault_address) == 128 + 176);
static_assert(offsetof(SignalFrame, floating) == 128 + 464);
static_assert(sizeof(SignalFrame) == 4688);

bool fits_in_frame(const std::vector<char>& wide_vectors) {
  return sizeof(WideVectorsRecord) + wide_vectors.size() + kRecordAlignment + kEndRecord <=
         sizeof(SignalFrame::more_records);
}

void write_wide_vectors(const ThreadContext& thread, SignalFrame& frame) {
  const std::size_t size = sizeof(WideVectorsRecord) + thread.wide_vectors.size();
  const WideVectorsRecord record{kWideVectorsMagic,
                                 static_cast<std::uint32_t>((size + kRecordAlignment - 1) & ~(kRecordAlignment - 1)),
                                 thread.vector_length, 0, 0};
  std::memcpy(frame.more_records, &record, sizeof record);
  std::memcpy(frame.more_records + sizeof record, thread.wide_vectors.data(), thread.wide_vectors.size());
}

std::int64_t number_of(const Registers& registers) {
  return static_cast<std::int64_t>(registers.x[kNumberRegister]);
}

std::array<std::uint64_t, 6> arguments_of(const Registers& registers) {
  return {registers.x[0], registers.x[1], registers.x[2], registers.x[3], registers.x[4], registers.x[5]};
}

bool is_futex_wait(std::uint64_t operation) {
  switch (static_cast<int>(operation) & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_WAIT_REQUEUE_PI:
      return true;
    default:
      return false;
  }
}

// An address of which "adrp", which stands at `address`, has the page, by its distance.
std::uint64_t page_of(std::uint32_t adrp, std::uint64_t address) {
  const std::uint64_t pages = (adrp >> 5U & 0x7ffffU) << 2U | (adrp >> 29U & 3U);
  const std::uint64_t distance = (pages ^ 0x100000U) - 0x100000U;  // of 21 bits with a sign
  return (address & ~std::uint64_t{4095}) + (distance << 12U);
}

}  // namespace

std::string_view objection_to_state(const ThreadContext& thread, bool is_in_call) {
  if (thread.has_matrices) return "uses SME, whose registers a call would not leave as they are";
  if (thread.has_guarded_stack) return "has a guarded control stack, which would not let a call return";
  if (!fits_in_frame(thread.wide_vectors) && !is_in_call)
    return "uses SVE with registers of a width that a call would not leave as they are";
  return "";
}

// A close that was broken has closed all the same, and by now the number may be another file's.
bool would_see_interruption(const Registers& registers, std::uint32_t before) {
  return before == kEnterKernel && static_cast<std::int64_t>(registers.x[0]) == -EINTR &&
         number_of(registers) != SYS_close;
}

Registers made_again(const Registers& registers, std::uint64_t first_argument) {
  Registers again = registers;
  again.x[0] = first_argument;
  again.pc -= sizeof kEnterKernel;
  return again;
}

bool slept_here(const Registers& registers, const BeforeStop& before) {
  return registers.pc == before.pc && registers.stack_pointer == before.stack_pointer;
}

bool has_frame_of_handler(const Registers& registers, std::string_view below) {
  const std::uint64_t words[] = {registers.x[29], registers.x[30], registers.stack_pointer, registers.pc};
  return below.find({reinterpret_cast<const char*>(words), sizeof words}) != std::string_view::npos;
}

// Some calls do not sleep, and a lock may be held over them.
std::int64_t call_in_progress(const Registers& registers, const CallCode& code) {
  const std::int64_t call = number_of(registers);
  const auto arguments = arguments_of(registers);
  const bool sleeps =
      call == SYS_futex ? is_futex_wait(arguments[1]) : restart_effect(call, arguments) != RestartEffect::kUnknown;
  return code[1] == kEnterKernel && sleeps ? call : -1;
}

std::optional<Resumption> find_resumption(const Registers& registers, const CallCode& code, std::int64_t number) {
  Resumption resumption{registers, RestartEffect::kNone};
  if (code[1] != kEnterKernel) return resumption;
  if (has_call_taken_up(registers, code)) {
    if (!can_be_taken_up(number)) return std::nullopt;
    resumption.registers.x[kNumberRegister] = static_cast<std::uint64_t>(number);
  }
  // The kernel begins those anew that we do not know, or the thread has not begun them.
  resumption.effect = restart_effect(number_of(resumption.registers), arguments_of(registers));
  if (resumption.effect == RestartEffect::kUnknown) resumption.effect = RestartEffect::kNone;
  return resumption;
}

bool has_call_taken_up(const Registers& registers, const CallCode& code) {
  return code[1] == kEnterKernel && number_of(registers) == SYS_restart_syscall;
}

CallNumberPlace find_call_number(const CallCode& code) {
  constexpr std::uint32_t kMove = 0xd2800008, kMoveShort = 0x52800008, kImmediate = 0xffffU << 5U;  // mov x8, w8
  const std::uint32_t move = code[0] & ~kImmediate;
  if (code[1] != kEnterKernel || (move != kMove && move != kMoveShort)) return {};
  return {CallNumberPlace::Kind::kInCode, (code[0] & kImmediate) >> 5U};
}

CallImageBuilder::CallImageBuilder(const ThreadContext& thread, const Registers& resumption,
                                   std::uint64_t signal_return)
    : thread_(thread),
      resumption_(resumption),
      signal_return_(signal_return),
      image_(thread.registers.stack_pointer & ~(kAlignment - 1)) {}

std::uint64_t CallImageBuilder::add_text(std::string_view text) {
  return add(std::string(text) + '\0');
}

std::uint64_t CallImageBuilder::add_frame(const Registers& registers, std::uint64_t mask, bool is_of_thread) {
  SignalFrame frame{};
  frame.alternate_stack_flags = kNoSuchStackFlags;
  frame.signal_mask = mask;
  std::memcpy(frame.x, registers.x.data(), sizeof frame.x);
  frame.stack_pointer = registers.stack_pointer;
  frame.pc = registers.pc;
  frame.state = registers.state;
  frame.floating.magic = kFloatingMagic;
  frame.floating.size = sizeof frame.floating;
  frame.floating.status = thread_.floating.status;
  frame.floating.control = thread_.floating.control;
  std::memcpy(frame.floating.vectors, thread_.floating.vectors.data(), sizeof frame.floating.vectors);
  if (is_of_thread && !thread_.wide_vectors.empty() && fits_in_frame(thread_.wide_vectors))
    write_wide_vectors(thread_, frame);
  return image_.add({reinterpret_cast<const char*>(&frame), sizeof frame}, kAlignment);
}

Registers CallImageBuilder::registers_for(const Invocation& call, std::uint64_t frame) const {
  Registers registers = thread_.registers;
  for (std::size_t index = 0; index < call.arguments.size(); ++index) registers.x[index] = call.arguments[index];
  registers.x[kReturnRegister] = signal_return_;
  registers.stack_pointer = frame;
  registers.pc = call.function;
  registers.state &= ~(kSingleStep | kBranchType);
  return registers;
}

CallImage CallImageBuilder::build(std::span<const Invocation> calls, std::uint64_t mask) {
  Registers registers = resumption_;
  std::uint64_t frame_mask = thread_.signal_mask;
  for (std::size_t left = calls.size(); left > 0; --left) {
    registers = registers_for(calls[left - 1], add_frame(registers, frame_mask, left == calls.size()));
    frame_mask = mask;
  }
  CallImage image{image_.bottom(), image_.bytes(), registers, mask, thread_.floating};
  image.floating.control = 0;
  return image;
}

std::optional<std::size_t> find_signal_return(std::string_view code) {
  std::uint32_t instructions[] = {kNumberOfReturn, kEnterKernel};
  const std::string_view wanted(reinterpret_cast<const char*>(instructions), sizeof instructions);
  for (std::size_t place = code.find(wanted); place != std::string_view::npos; place = code.find(wanted, place + 1)) {
    if (place % sizeof instructions[0] == 0) return place;
  }
  return std::nullopt;
}

// "adrp x0, page; ldr x0, [x0, place]; mrs x1, tpidr_el0; add x0, x1, x0", perhaps behind a landing pad.
std::optional<std::uint64_t> find_errno_offset_slot(std::string_view code, std::uint64_t address) {
  constexpr std::uint32_t kLandingPad = 0xd503245f;  // bti c
  constexpr std::uint32_t kReadThreadPointer = 0xd53bd040;
  std::array<std::uint32_t, 3> words{};
  const std::size_t start = code.starts_with({reinterpret_cast<const char*>(&kLandingPad), sizeof kLandingPad}) ? 4 : 0;
  if (code.size() < start + sizeof words) return std::nullopt;
  std::memcpy(words.data(), code.data() + start, sizeof words);
  const auto [adrp, load, thread_pointer] = words;
  const std::uint32_t page_register = adrp & 31U;
  if ((adrp & 0x9f000000U) != 0x90000000U || (load & 0xffc00000U) != 0xf9400000U ||
      (load >> 5U & 31U) != page_register || (thread_pointer & ~31U) != kReadThreadPointer) {
    return std::nullopt;
  }
  return page_of(adrp, address + start) + std::uint64_t{load >> 10U & 0xfffU} * 8;
}

}  // namespace leakwatch::aarch64
