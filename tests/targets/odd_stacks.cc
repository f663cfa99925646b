// SPDX-License-Identifier: Apache-2.0
//
// Allocations on stacks that nobody announced: a fiber (ucontext) in the main thread and in another, a signal handler's
// alternate stack, code made at run time without unwind tables, and a recursion deeper than any limit.

#include <sys/mman.h>
#include <ucontext.h>
#include <csignal>
#include <cstdint>

#include <thread>

#include "tests/targets/truth.h"

SITE void* fiber_block() {
  return malloc(100);
}
SITE void* altstack_block() {
  return malloc(200);
}
SITE void* jit_block() {
  return malloc(300);
}
SITE void* deep_block() {
  return malloc(400);
}

namespace {

Truth fiber, altstack, jit, deep;
thread_local ucontext_t outside, inside;
constexpr std::size_t kStackBytes = 64 * 1024;

void* map_stack() {
  return mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void live_in_fiber() {
  for (int i = 0; i < 100; ++i) {
    require(fiber_block() != nullptr, "malloc");
    swapcontext(&inside, &outside);
  }
}

void run_fiber() {
  getcontext(&inside);
  inside.uc_stack.ss_sp = map_stack();
  inside.uc_stack.ss_size = kStackBytes;
  inside.uc_link = &outside;
  makecontext(&inside, live_in_fiber, 0);
  for (int i = 0; i < 100; ++i) {
    swapcontext(&outside, &inside);
    fiber.allocated(100);
  }
}

void run_altstack() {
  stack_t stack = {};
  stack.ss_sp = map_stack();
  stack.ss_size = kStackBytes;
  require(sigaltstack(&stack, nullptr) == 0, "sigaltstack");
  struct sigaction action = {};
  action.sa_handler = [](int) { require(altstack_block() != nullptr, "malloc"); };
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  for (int i = 0; i < 100; ++i) {
    raise(SIGUSR1);
    altstack.allocated(200);
  }
}

// push rbp; mov rbp, 0x1234567; call *rdi; pop rbp; ret: a frame pointer that leads nowhere.
void run_jit() {
  constexpr unsigned char kCode[] = {0x55, 0x48, 0xc7, 0xc5, 0x67, 0x45, 0x23, 0x01, 0xff, 0xd7, 0x5d, 0xc3};
  void* code = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(code, kCode, sizeof kCode);
  auto* call = reinterpret_cast<void* (*)(void* (*)())>(code);
  for (int i = 0; i < 100; ++i) {
    require(call(jit_block) != nullptr, "malloc");
    jit.allocated(300);
  }
}

}  // namespace

SITE long recurse(long depth) {
  if (depth == 0) {
    require(deep_block() != nullptr, "malloc");
    deep.allocated(400);
    return 1;
  }
  return recurse(depth - 1) + 1;
}

int main() {
  run_fiber();
  std::thread([] {
    run_fiber();
    run_altstack();
    run_jit();
  }).join();
  run_altstack();
  run_jit();
  for (int i = 0; i < 100; ++i) recurse(20'000);
  tell("fiber_block", fiber), tell("altstack_block", altstack), tell("jit_block", jit), tell("deep_block", deep);
}
