// SPDX-License-Identifier: Apache-2.0
//
// See the header. What keeps each frame alive stands after the call: a compiler that could make it a jump would.
#include "tests/unit/unwind_fixtures.h"

#include <alloca.h>
#include <signal.h>
#include <stdlib.h>

namespace leakwatch::fixtures {

namespace {

void keep(const void* pointer) {
  asm volatile("" : : "r"(pointer) : "memory");
}

Callback pending_callback;
void* pending_argument;

int compare(const void* a, const void* b) {
  if (pending_callback != nullptr) pending_callback(pending_argument);
  pending_callback = nullptr;
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

void on_signal(int) {
  pending_callback(pending_argument);
  keep(&pending_callback);
}

}  // namespace

[[gnu::noinline]] void recurse(unsigned depth, Callback callback, void* argument) {
  if (depth == 0)
    callback(argument);
  else
    recurse(depth - 1, callback, argument);
  keep(&depth);
}

[[gnu::noinline]] void with_alloca(std::size_t bytes, Callback callback, void* argument) {
  void* room = alloca(bytes);
  keep(room);
  callback(argument);
  keep(room);
}

[[gnu::noinline]] void realigned(std::size_t bytes, Callback callback, void* argument) {
  alignas(64) char block[192];
  void* room = alloca(bytes);
  keep(block);
  keep(room);
  callback(argument);
  keep(block);
  keep(room);
}

[[gnu::noinline]] void with_many_registers(const std::size_t* numbers, Callback callback, void* argument) {
  std::size_t a = numbers[0], b = numbers[1], c = numbers[2], d = numbers[3], e = numbers[4], f = numbers[5];
  callback(argument);
  asm volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f));
}

[[gnu::noinline]] void with_large_frame(Callback callback, void* argument) {
  char block[100'000];
  keep(block);
  callback(argument);
  keep(block);
}

[[gnu::noinline]] void through_qsort(Callback callback, void* argument) {
  int numbers[] = {5, 3, 9, 1, 7};
  pending_callback = callback;
  pending_argument = argument;
  qsort(numbers, 5, sizeof numbers[0], compare);
  keep(numbers);
}

[[gnu::noinline]] void from_signal_handler(Callback callback, void* argument) {
  pending_callback = callback;
  pending_argument = argument;
  struct sigaction action {
  }, before{};
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, &before);
  raise(SIGUSR1);
  sigaction(SIGUSR1, &before, nullptr);
}

asm(R"(
  .text
  .p2align 4
  .globl leakwatch_fixture_cfa_in_rbx
  .type leakwatch_fixture_cfa_in_rbx, @function
leakwatch_fixture_cfa_in_rbx:
  .cfi_startproc
  push %rbx
  .cfi_def_cfa_offset 16
  .cfi_offset %rbx, -16
  mov %rsp, %rbx
  .cfi_def_cfa_register %rbx
  mov %rdi, %rax
  mov %rsi, %rdi
  call *%rax
  pop %rbx
  .cfi_restore %rbx
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size leakwatch_fixture_cfa_in_rbx, . - leakwatch_fixture_cfa_in_rbx

  .p2align 4
  .globl leakwatch_fixture_without_rules
  .type leakwatch_fixture_without_rules, @function
leakwatch_fixture_without_rules:
  push %rbx
  mov %rdi, %rax
  mov %rsi, %rdi
  call *%rax
  pop %rbx
  ret
  .size leakwatch_fixture_without_rules, . - leakwatch_fixture_without_rules
)");

}  // namespace leakwatch::fixtures
