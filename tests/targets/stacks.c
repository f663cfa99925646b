// SPDX-License-Identifier: Apache-2.0
//
// One allocation at the end of each kind of stack that an unwinder can get wrong; its size says which one it is. Built
// with -O2 and without frame pointers. tests/e2e/stacks.sh knows what each stack must be.
#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define FUNCTION __attribute__((noinline))
#define NO_TAIL_CALL __asm__ volatile("" ::: "memory")

void* volatile sink;

// Through libc and back.
FUNCTION void sorted_leaf(void) {
  sink = malloc(1001);
  NO_TAIL_CALL;
}
static int allocate_once = 1;
FUNCTION int sort_compare(const void* a, const void* b) {
  if (allocate_once) sorted_leaf();
  allocate_once = 0;
  return *(const int*)a - *(const int*)b;
}
FUNCTION void through_qsort(void) {
  int values[50];
  for (int i = 0; i < 50; i++) values[i] = i * 37 % 50;
  qsort(values, 50, sizeof *values, sort_compare);
  NO_TAIL_CALL;
}
FUNCTION int search_compare(const void* a, const void* b) {
  if (allocate_once) sink = malloc(1002);
  allocate_once = 0;
  return *(const int*)a - *(const int*)b;
}
FUNCTION void through_bsearch(void) {
  int values[50];
  for (int i = 0; i < 50; i++) values[i] = i;
  const int key = 33;
  allocate_once = 1;
  sink = bsearch(&key, values, 50, sizeof *values, search_compare);
  NO_TAIL_CALL;
}

// Deeper than any limit.
FUNCTION void recurse(int depth) {
  if (depth == 0)
    sink = malloc(1003);
  else
    recurse(depth - 1);
  NO_TAIL_CALL;
}

// Frames whose size only the running code knows, and one that realigns its stack.
FUNCTION void realigned(int size) {
  char wide[64 + size] __attribute__((aligned(64)));
  memset(wide, size, sizeof wide);
  __asm__ volatile("" ::"r"(wide) : "memory");
  sink = malloc(1004);
  __asm__ volatile("" ::"r"(wide) : "memory");
}
FUNCTION void with_alloca(int size) {
  char* room = alloca((size_t)size * 16);
  memset(room, 1, (size_t)size * 16);
  __asm__ volatile("" ::"r"(room) : "memory");
  realigned(size);
  NO_TAIL_CALL;
}

// A handler on the thread's stack, and one on an alternate stack.
static volatile size_t handler_size;
static void on_signal(int number) {
  (void)number;
  sink = malloc(handler_size);
}
FUNCTION void interrupted_here(void) {
  raise(SIGUSR2);
  NO_TAIL_CALL;
}
static void through_signals(void) {
  signal(SIGUSR2, on_signal);
  handler_size = 1005;
  interrupted_here();
  const stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&other, NULL);
  const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR2, &action, NULL);
  handler_size = 1006;
  interrupted_here();
}

// A stack that nobody told us of, with nothing mapped behind it.
static ucontext_t main_context, fiber_context;
FUNCTION void fiber_leaf(void) {
  sink = malloc(1007);
  NO_TAIL_CALL;
}
static void fiber(void) {
  fiber_leaf();
  NO_TAIL_CALL;
}
static void through_fiber(void) {
  const size_t size = 65536;
  char* stack = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(stack + size, 4096);
  getcontext(&fiber_context);
  fiber_context.uc_stack.ss_sp = stack;
  fiber_context.uc_stack.ss_size = size;
  fiber_context.uc_link = &main_context;
  makecontext(&fiber_context, fiber, 0);
  swapcontext(&main_context, &fiber_context);
}

// Code that no table describes: the call returns into a page made at run time.
FUNCTION void* called_from_jit(void) {
  return sink = malloc(1008);
}
static void through_jit(void) {
  static const unsigned char code[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd7, 0x48, 0x83, 0xc4, 0x08, 0xc3};
  unsigned char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(page, code, sizeof code);  // sub rsp, 8; call rdi; add rsp, 8; ret
  mprotect(page, 4096, PROT_READ | PROT_EXEC);
  void (*jit)(void* (*)(void));
  memcpy(&jit, &page, sizeof jit);
  jit(called_from_jit);
}

// The call is the last instruction of its function: what follows belongs to another one.
FUNCTION _Noreturn void never_returns(void) {
  sink = malloc(1009);
  exit(0);
}
FUNCTION void noreturn_tail(void) {
  never_returns();
}

int main(void) {
  through_qsort();
  through_bsearch();
  recurse(300);
  with_alloca(7);
  through_signals();
  through_fiber();
  through_jit();
  noreturn_tail();
}
