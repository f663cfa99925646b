// SPDX-License-Identifier: Apache-2.0
//
// See the header. Layouts: sigreturn(2); Linux, Documentation/arch/x86/xstate.rst and the uapi headers
// asm/sigcontext.h and asm/ucontext.h, whose names clash with libc's.

#include "cli/trace/remote_call_x86_64.h"

#include <cpuid.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "cli/base/error.h"

namespace leakwatch::x86_64 {

namespace {

constexpr std::uint64_t kExtendedAlignment = 64;
constexpr std::uint64_t kDirectionFlag = 0x400;
constexpr std::uint64_t kTrapFlag = 0x100;
constexpr std::uint64_t kAlignmentCheckFlag = 0x40000;

// The kernel's struct ucontext with what follows it.
struct SignalFrame {
  std::uint64_t return_address;
  std::uint64_t flags;
  std::uint64_t link;
  std::uint64_t alternate_stack;
  std::int32_t alternate_stack_flags;
  std::int32_t padding;
  std::uint64_t alternate_stack_size;
  std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
  std::uint16_t cs, gs, fs, ss;
  std::uint64_t error, trap, old_mask, cr2;
  std::uint64_t extended;  // address of the floating-point state; 0: the initial one
  std::uint64_t reserved[8];
  std::uint64_t signal_mask;
  char information[128];  // siginfo_t, which nobody reads
};
static_assert(offsetof(SignalFrame, r8) == 48);
static_assert(offsetof(SignalFrame, cs) == 192);
static_assert(offsetof(SignalFrame, extended) == 232);
static_assert(offsetof(SignalFrame, signal_mask) == 304);
static_assert(sizeof(SignalFrame) == 440);

constexpr std::uint64_t kHasExtendedState = 1;     // UC_FP_XSTATE
constexpr std::uint64_t kHasStackSegment = 2;      // UC_SIGCONTEXT_SS
constexpr std::uint64_t kStackSegmentIsRight = 4;  // UC_STRICT_RESTORE_SS

// Restoring the thread's alternate stack could only do harm. The kernel does not take flags that it does not know, and
// leaves everything as it is; it says nothing about that here.
constexpr std::int32_t kNoSuchStackFlags = 0x10;

// struct _fpx_sw_bytes: in the last bytes of the part that FXSAVE has, which no hardware uses.
struct SoftwareBytes {
  std::uint32_t magic;
  std::uint32_t size_with_end;
  std::uint64_t features;
  std::uint32_t size;
  std::uint32_t padding[7];
};
static_assert(sizeof(SoftwareBytes) == 48);
constexpr std::size_t kSoftwareBytesAt = 464;
constexpr std::uint32_t kFirstMagic = 0x46505853;  // FP_XSTATE_MAGIC1
constexpr std::uint32_t kLastMagic = 0x46505845;   // FP_XSTATE_MAGIC2

constexpr std::size_t kFeaturesInUseAt = 512;  // XSTATE_BV
constexpr std::size_t kSmallestExtended = 576;
// The tiles of AMX. A thread has room for them only once it has used them, and the kernel takes no larger state than
// the thread has room for; but its report to tracers has always room for everything.
constexpr std::uint64_t kFeaturesOnDemand = std::uint64_t{1} << 18U;

std::uint64_t number_at(const std::vector<char>& bytes, std::size_t offset) {
  std::uint64_t value = 0;
  if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Where the last of the features ends in the standard layout: leaf 13 of CPUID.
std::size_t extended_size(std::uint64_t features) {
  std::size_t size = kSmallestExtended;
  for (unsigned feature = 2; feature < 63; ++feature) {
    unsigned length = 0, offset = 0, kind = 0, unused = 0;
    if ((features >> feature & 1U) == 0) continue;
    if (__get_cpuid_count(13, feature, &length, &offset, &kind, &unused) == 0) continue;
    size = std::max(size, std::size_t{offset} + length);
  }
  return size;
}

// The kernel's own results for a call that a stop broke, which no program sees (Linux, linux/errno.h): ERESTARTSYS,
// ERESTARTNOINTR, ERESTARTNOHAND.
bool is_begun_anew(std::int64_t result) {
  return result == -512 || result == -513 || result == kRestartWithoutHandler;
}

// And ERESTART_RESTARTBLOCK: the call is taken up where it was.
bool is_restart_code(std::int64_t result) {
  return is_begun_anew(result) || result == -516;
}

std::array<std::uint64_t, 6> arguments_of(const Registers& registers) {
  return {registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9};
}

bool enters_kernel(const CallCode& code) {
  return code[5] == 0x0f && code[6] == 0x05;  // syscall
}

}  // namespace

// The number of the call is there until the thread is back in its own code.
bool has_broken_call(const Registers& registers) {
  const auto result = static_cast<std::int64_t>(registers.rax);
  return static_cast<std::int64_t>(registers.orig_rax) >= 0 &&
         (is_restart_code(result) || would_see_interruption(registers));
}

// A close that was broken has closed all the same, and by now the number may be another file's.
bool would_see_interruption(const Registers& registers) {
  const auto call = static_cast<std::int64_t>(registers.orig_rax);
  return call >= 0 && call != SYS_close && static_cast<std::int64_t>(registers.rax) == -EINTR;
}

std::int64_t call_in_progress(const Registers& registers, const CallCode& /*code*/) {
  return has_broken_call(registers) ? static_cast<std::int64_t>(registers.orig_rax) : -1;
}

bool has_call_taken_up(const Registers& registers, const CallCode& /*code*/) {
  return has_broken_call(registers) && static_cast<std::int64_t>(registers.orig_rax) == SYS_restart_syscall;
}

CallNumberPlace find_call_number(const CallCode& code) {
  using Kind = CallNumberPlace::Kind;
  constexpr CallCode kFromArgument = {0x4c, 0x89, 0x5c, 0x24, 0x08, 0x0f, 0x05};  // mov %r11, 8(%rsp); syscall
  constexpr std::array<unsigned char, 4> kFromStack = {0x48, 0x8b, 0x44, 0x24};   // mov offset(%rsp), %rax
  constexpr unsigned char kMoveToEax = 0xb8;
  if (!enters_kernel(code)) return {};
  if (code == kFromArgument) return {Kind::kCallersArgument, 0};
  if (std::equal(kFromStack.begin(), kFromStack.end(), code.begin())) return {Kind::kOnStack, code[4]};
  if (code[0] != kMoveToEax) return {};
  CallNumberPlace place{Kind::kInCode, 0};
  std::memcpy(&place.value, &code[1], sizeof place.value);
  return place;
}

std::optional<Resumption> find_resumption(const Registers& registers, const CallCode& code, std::int64_t number) {
  Resumption resumption{registers, RestartEffect::kNone};
  resumption.registers.orig_rax = static_cast<unsigned long long>(-1);
  if (!has_broken_call(registers)) return resumption;
  auto call = static_cast<std::int64_t>(registers.orig_rax);
  if (call == SYS_restart_syscall) call = can_be_taken_up(number) ? number : -1;
  if (call < 0 || !enters_kernel(code)) return std::nullopt;
  resumption.effect = restart_effect(call, arguments_of(registers));
  // Of a call that we do not know the kernel still says whether it would begin it anew.
  if (resumption.effect == RestartEffect::kUnknown) {
    if (!is_begun_anew(static_cast<std::int64_t>(registers.rax))) return std::nullopt;
    resumption.effect = RestartEffect::kNone;
  }
  resumption.registers.rax = static_cast<unsigned long long>(call);
  resumption.registers.rip -= 2;
  return resumption;
}

CallImageBuilder::CallImageBuilder(const ThreadContext& thread, const Registers& resumption,
                                   std::uint64_t signal_return)
    : thread_(thread),
      resumption_(resumption),
      signal_return_(signal_return),
      image_((thread.registers.rsp - kRedZone) & ~std::uint64_t{15}) {}

std::uint64_t CallImageBuilder::add_text(std::string_view text) {
  return add(std::string(text) + '\0');
}

std::uint64_t CallImageBuilder::add_extended_state() {
  const std::vector<char>& state = thread_.extended;
  // The kernel writes the features that it knows into these bytes of its report.
  const std::uint64_t features =
      (number_at(state, kSoftwareBytesAt) & ~kFeaturesOnDemand) | number_at(state, kFeaturesInUseAt);
  const std::size_t size = extended_size(features);
  if (state.size() < size) throw Error("the kernel reports less of a thread's registers than the processor has");
  SoftwareBytes software{};
  software.magic = kFirstMagic;
  software.size = static_cast<std::uint32_t>(size);
  software.size_with_end = static_cast<std::uint32_t>(size + sizeof kLastMagic);
  software.features = features;
  // When it meets a page that is not there, the kernel brings in as many bytes as the thread could ever need, and takes
  // the frame for a broken one where those are not all mapped. Below the old stack pointer they are.
  const std::uint64_t address = image_.reserve(std::max(size, state.size()) + sizeof kLastMagic, kExtendedAlignment);
  image_.write(address, state.data(), size);
  image_.write(address + kSoftwareBytesAt, &software, sizeof software);
  image_.write(address + size, &kLastMagic, sizeof kLastMagic);
  return address;
}

// As at the entry of a function: the return address at the stack pointer, and sixteen bytes aligned above it.
std::uint64_t CallImageBuilder::add_frame(const Registers& user, std::uint64_t mask, std::uint64_t extended) {
  SignalFrame frame{};
  frame.return_address = signal_return_;
  frame.flags = kHasStackSegment | kStackSegmentIsRight | (extended != 0 ? kHasExtendedState : 0);
  frame.alternate_stack_flags = kNoSuchStackFlags;
  frame.r8 = user.r8;
  frame.r9 = user.r9;
  frame.r10 = user.r10;
  frame.r11 = user.r11;
  frame.r12 = user.r12;
  frame.r13 = user.r13;
  frame.r14 = user.r14;
  frame.r15 = user.r15;
  frame.rdi = user.rdi;
  frame.rsi = user.rsi;
  frame.rbp = user.rbp;
  frame.rbx = user.rbx;
  frame.rdx = user.rdx;
  frame.rax = user.rax;
  frame.rcx = user.rcx;
  frame.rsp = user.rsp;
  frame.rip = user.rip;
  frame.eflags = user.eflags;
  frame.cs = static_cast<std::uint16_t>(user.cs);
  frame.ss = static_cast<std::uint16_t>(user.ss);
  frame.extended = extended;
  frame.signal_mask = mask;
  const std::uint64_t address = image_.reserve(sizeof frame + 8, 16) + 8;
  image_.write(address, &frame, sizeof frame);
  return address;
}

CallImage CallImageBuilder::build(std::span<const Invocation> calls, std::uint64_t mask) {
  Registers registers = resumption_;
  registers.eflags &= ~(kDirectionFlag | kTrapFlag | kAlignmentCheckFlag);
  std::uint64_t stack = add_frame(resumption_, thread_.signal_mask, add_extended_state());
  for (std::size_t left = calls.size(); left-- > 0;) {
    const Invocation& call = calls[left];
    registers.rip = call.function;
    registers.rsp = stack;
    registers.rdi = call.arguments[0];
    registers.rsi = call.arguments[1];
    registers.rdx = call.arguments[2];
    registers.rcx = call.arguments[3];
    registers.r8 = call.arguments[4];
    registers.r9 = call.arguments[5];
    registers.rax = 0;
    if (left > 0) stack = add_frame(registers, mask, 0);
  }
  CallImage image;
  image.address = image_.bottom();
  image.bytes = image_.bytes();
  image.registers = registers;
  image.signal_mask = mask;
  image.floating.cwd = 0x37f;     // as the psABI has them at the start of a process
  image.floating.mxcsr = 0x1f80;  // the same
  return image;
}

std::optional<std::size_t> find_signal_return(std::string_view code) {
  using namespace std::string_view_literals;
  const std::size_t place = code.find("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"sv);
  return place == std::string_view::npos ? std::nullopt : std::optional(place);
}

// "mov offset(%rip), %rax; add %fs:0, %rax", perhaps behind an "endbr64".
std::optional<std::uint64_t> find_errno_offset_slot(std::string_view code, std::uint64_t address) {
  using namespace std::string_view_literals;
  constexpr std::size_t kMoveSize = 7;
  const std::size_t start = code.starts_with("\xf3\x0f\x1e\xfa"sv) ? 4 : 0;
  code.remove_prefix(std::min(start, code.size()));
  if (!code.starts_with("\x48\x8b\x05"sv) ||
      !code.substr(std::min(kMoveSize, code.size())).starts_with("\x64\x48\x03\x04\x25\x00\x00\x00\x00"sv)) {
    return std::nullopt;
  }
  std::int32_t offset = 0;
  std::memcpy(&offset, code.data() + 3, sizeof offset);
  return address + start + kMoveSize + static_cast<std::uint64_t>(std::int64_t{offset});
}

}  // namespace leakwatch::x86_64
