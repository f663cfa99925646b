// SPDX-License-Identifier: Apache-2.0
//
// On 64-bit ARM, or an emulator of it: a thread is made to call two functions in the way of
// cli/trace/remote_call_aarch64.h, and the kernel's return from a signal handler takes its frames. This program plays
// the one who stops threads, as emulators of a process know no ptrace: the "thread" is a set of registers with a stack
// of its own, and it is begun here by loading them. It says what went wrong, and its status is 1 then.

#include "cli/trace/remote_call_aarch64.h"

#include <sys/auxv.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

using leakwatch::aarch64::CallImage;
using leakwatch::aarch64::FloatingRegisters;
using leakwatch::aarch64::Registers;
using leakwatch::aarch64::ThreadContext;

extern "C" {

struct State {
  Registers registers;
  FloatingRegisters floating;
};
State begun_with, came_back;
std::uint64_t own_stack;

// Loads begun_with; returns when a thread comes to came_here, which stores what it is then in came_back.
void become();
extern const char came_here[];
extern const char own_signal_return[];  // what libc gave the kernel before the vDSO had it

asm(R"(
        .macro  vectors operation, base
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        \operation q\n, [\base, #16 * \n]
        .endr
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \operation q\n, [\base, #16 * \n]
        .endr
        .endm
        .macro  kept operation          // what a function keeps for its caller, but for the frame record
        \operation x19, x20, [sp, #16]
        \operation x21, x22, [sp, #32]
        \operation x23, x24, [sp, #48]
        \operation x25, x26, [sp, #64]
        \operation x27, x28, [sp, #80]
        \operation d8, d9, [sp, #96]
        \operation d10, d11, [sp, #112]
        \operation d12, d13, [sp, #128]
        \operation d14, d15, [sp, #144]
        .endm

        .text
        .balign 4
        .globl  become, came_here, own_signal_return
own_signal_return:
        mov     x8, #139
        svc     #0

become: stp     x29, x30, [sp, #-160]!
        kept    stp
        adrp    x0, own_stack
        mov     x1, sp
        str     x1, [x0, :lo12:own_stack]
        adrp    x16, begun_with
        add     x16, x16, :lo12:begun_with
        add     x17, x16, #272
        vectors ldr, x17
        ldr     w0, [x17, #512]
        msr     fpsr, x0
        ldr     w0, [x17, #516]
        msr     fpcr, x0
        ldr     x0, [x16, #264]
        msr     nzcv, x0
        ldr     x0, [x16, #248]
        mov     sp, x0
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
        ldr     x\n, [x16, #8 * \n]
        .endr
        ldr     x16, [x16, #256]
        br      x16                     // two registers that a call may change have other values than the thread's

came_here:
        stp     x0, x1, [sp, #-16]!
        adrp    x0, came_back
        add     x0, x0, :lo12:came_back
        .irp    n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
        str     x\n, [x0, #8 * \n]
        .endr
        ldp     x2, x3, [sp], #16
        stp     x2, x3, [x0]
        mov     x2, sp
        str     x2, [x0, #248]
        mrs     x2, nzcv
        str     x2, [x0, #264]
        add     x1, x0, #272
        vectors str, x1
        mrs     x2, fpsr
        str     w2, [x1, #512]
        mrs     x2, fpcr
        str     w2, [x1, #516]
        msr     fpcr, xzr
        adrp    x0, own_stack
        ldr     x1, [x0, :lo12:own_stack]
        mov     sp, x1
        kept    ldp
        ldp     x29, x30, [sp], #160
        ret
)");
}

namespace {

int failures = 0;

void check(bool is_good, const char* what, std::uint64_t got = 0, std::uint64_t wanted = 0) {
  if (is_good) return;
  ++failures;
  std::printf("FAILED: %s: %#llx, wanted %#llx\n", what, static_cast<unsigned long long>(got),
              static_cast<unsigned long long>(wanted));
}

void check_equal(std::uint64_t got, std::uint64_t wanted, const char* what) {
  check(got == wanted, what, got, wanted);
}

struct Call {
  int number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::uint64_t frame = 0;
  bool is_usr1_blocked = false;
  bool is_usr2_blocked = false;
  bool has_text = false;
  double sum = 0;
};
std::array<Call, 2> calls;
int calls_made = 0;

// As a function of C++ may: it uses the stack, floating point and the kernel.
void note_call(const std::array<std::uint64_t, 6>& arguments) {
  if (calls_made == 2) return;
  Call& call = calls[static_cast<std::size_t>(calls_made)];
  call.number = ++calls_made;
  call.arguments = arguments;
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  call.has_text = calls_made == 1 && std::strcmp(reinterpret_cast<const char*>(arguments[0]), "a text") == 0;
  call.frame = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  call.is_usr1_blocked = sigismember(&mask, SIGUSR1) == 1;
  call.is_usr2_blocked = sigismember(&mask, SIGUSR2) == 1;
  for (const std::uint64_t argument : arguments) call.sum += static_cast<double>(argument) / 2;
}

void call_me(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d, std::uint64_t e, std::uint64_t f) {
  note_call({a, b, c, d, e, f});
}

std::uint64_t address_of(const void* place) {
  return reinterpret_cast<std::uint64_t>(place);
}

std::uint64_t find_return() {
  constexpr std::size_t kLooked = 4096;
  if (const unsigned long vdso = getauxval(AT_SYSINFO_EHDR); vdso != 0) {
    const auto* code = reinterpret_cast<const char*>(vdso);  // NOLINT(performance-no-int-to-ptr)
    if (const auto place = leakwatch::aarch64::find_signal_return({code, kLooked})) return vdso + *place;
    std::puts("the vDSO has no return from a signal handler in its first page; ours serves");
  }
  const auto place = leakwatch::aarch64::find_signal_return({own_signal_return, 8});
  check(place.has_value(), "the return from a signal handler");
  return address_of(own_signal_return) + place.value_or(0);
}

std::uint64_t bit_of(int signal) {
  return std::uint64_t{1} << static_cast<unsigned>(signal - 1);
}

alignas(16) std::array<char, std::size_t{256} << 10U> stack;

ThreadContext some_thread() {
  ThreadContext thread;
  for (std::size_t index = 0; index < thread.registers.x.size(); ++index)
    thread.registers.x[index] = 0x1111'0000'2222'0000 + index;
  thread.registers.stack_pointer = address_of(stack.data()) + stack.size() - 1024;
  thread.registers.pc = address_of(came_here);
  thread.registers.state = 0xa000'0000;  // the flags N and C
  for (std::size_t index = 0; index < thread.floating.vectors.size(); ++index)
    thread.floating.vectors[index] = static_cast<unsigned char>(index * 7 + 1);
  thread.floating.status = 0x11;
  thread.floating.control = 0x0040'0000;  // rounds up
  thread.signal_mask = bit_of(SIGUSR1);
  return thread;
}

void check_calls(std::uint64_t text, const Registers& first) {
  check_equal(static_cast<std::uint64_t>(calls_made), 2, "calls made");
  check_equal(calls[0].arguments[0], text, "the first argument");
  check(calls[0].has_text, "the text");
  for (std::size_t index = 1; index < 6; ++index) check_equal(calls[0].arguments[index], index + 1, "an argument");
  for (std::size_t index = 0; index < 6; ++index) check_equal(calls[1].arguments[index], 10 + index, "the second's");
  for (const Call& call : calls) {
    check(call.is_usr2_blocked && !call.is_usr1_blocked, "the mask of a call");
    check(call.frame < first.stack_pointer + 2 * 4688 && call.frame > address_of(stack.data()), "its stack");
  }
  check(calls[1].sum == 37.5, "floating point");
}

void check_came_back(const ThreadContext& thread) {
  for (std::size_t index = 0; index < 31; ++index)
    check_equal(came_back.registers.x[index], thread.registers.x[index], "a register");
  check_equal(came_back.registers.stack_pointer, thread.registers.stack_pointer, "the stack pointer");
  check_equal(came_back.registers.state, thread.registers.state, "the flags");
  check(came_back.floating.vectors == thread.floating.vectors, "the vectors");
  check_equal(came_back.floating.status, thread.floating.status, "FPSR");
  check_equal(came_back.floating.control, thread.floating.control, "FPCR");
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  check(sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGUSR2) == 0, "the mask afterwards");
}

}  // namespace

int main() {
  const ThreadContext thread = some_thread();
  leakwatch::aarch64::CallImageBuilder builder(thread, thread.registers, find_return());
  const std::uint64_t text = builder.add({"a text", sizeof "a text"});
  const auto function = reinterpret_cast<std::uint64_t>(&call_me);
  const leakwatch::Invocation wanted[] = {{function, {text, 2, 3, 4, 5, 6}}, {function, {10, 11, 12, 13, 14, 15}}};
  const CallImage image = builder.build(wanted, bit_of(SIGUSR2));
  // What a tracer would do.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  std::memcpy(reinterpret_cast<char*>(image.address), image.bytes.data(), image.bytes.size());
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  begun_with = {image.registers, image.floating};
  become();
  check_came_back(thread);
  check_calls(text, image.registers);
  if (failures == 0) std::puts("two calls were made, and the thread came back as it was");
  return failures == 0 ? 0 : 1;
}
