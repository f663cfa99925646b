// SPDX-License-Identifier: Apache-2.0
//
// See called.h: what called_registers.c and called_cancellable.c are, for 64-bit ARM.
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "called.h"

// Rounds in x0; x16 and x17 are for the comparisons. Kept: all other general registers but x30, v0 to v30, the rounding
// mode and, for a few instructions of each round, the flags.
__asm__(
    ".text\n"
    ".globl spin_and_check\n"
    ".type spin_and_check, %function\n"
    "spin_and_check:\n"
    ".cfi_startproc\n"
    "stp x29, x30, [sp, #-176]!\n"
    ".cfi_adjust_cfa_offset 176\n"
    ".cfi_rel_offset x29, 0\n"
    ".cfi_rel_offset x30, 8\n"
    ".irp n, 19,20,21,22,23,24,25,26,27,28\n"
    "str x\\n, [sp, #8 * (\\n - 17)]\n"
    ".cfi_rel_offset x\\n, 8 * (\\n - 17)\n"
    ".endr\n"
    ".irp n, 8,9,10,11,12,13,14,15\n"
    "str d\\n, [sp, #96 + 8 * (\\n - 8)]\n"
    ".endr\n"
    "mrs x16, fpcr\n"
    "str x16, [sp, #160]\n"
    ".macro known\n"
    "movz x17, #0x3210\n"
    "movk x17, #0x7654, lsl #16\n"
    "movk x17, #0xc0de, lsl #32\n"
    "movk x17, #0x5a17, lsl #48\n"
    ".endm\n"
    "known\n"
    ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,18,19,20,21,22,23,24,25,26,27,28,29\n"
    "add x\\n, x17, #\\n\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "add x16, x17, #64 + \\n\n"
    "dup v\\n\\().2d, x16\n"
    ".endr\n"
    "mov x16, #0x400000\n"  // upwards
    "msr fpcr, x16\n"
    "2:\n"
    "known\n"
    ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,18,19,20,21,22,23,24,25,26,27,28,29\n"
    "add x16, x17, #\\n\n"
    "cmp x\\n, x16\n"
    "b.ne 3f\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "add x16, x17, #64 + \\n\n"
    "dup v31.2d, x16\n"
    "cmeq v31.2d, v31.2d, v\\n\\().2d\n"
    "mov x16, v31.d[0]\n"
    "cmn x16, #1\n"
    "b.ne 3f\n"
    "mov x16, v31.d[1]\n"
    "cmn x16, #1\n"
    "b.ne 3f\n"
    ".endr\n"
    "mrs x16, fpcr\n"
    "cmp x16, #0x400, lsl #12\n"
    "b.ne 3f\n"
    "mov x16, #0xa0000000\n"
    "msr nzcv, x16\n"
    "nop\n"
    "nop\n"
    "mrs x16, nzcv\n"
    "lsr x16, x16, #28\n"
    "cmp x16, #10\n"
    "b.ne 3f\n"
    "subs x0, x0, #1\n"
    "b.ne 2b\n"
    "b 4f\n"
    "3: mov x0, #1\n"
    "4: ldr x16, [sp, #160]\n"
    "msr fpcr, x16\n"
    ".irp n, 8,9,10,11,12,13,14,15\n"
    "ldr d\\n, [sp, #96 + 8 * (\\n - 8)]\n"
    ".endr\n"
    ".irp n, 19,20,21,22,23,24,25,26,27,28\n"
    "ldr x\\n, [sp, #8 * (\\n - 17)]\n"
    ".endr\n"
    "ldp x29, x30, [sp], #176\n"
    ".cfi_adjust_cfa_offset -176\n"
    ".irp n, 19,20,21,22,23,24,25,26,27,28,29,30\n"
    ".cfi_restore x\\n\n"
    ".endr\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size spin_and_check, . - spin_and_check\n"

    // All that a function may change, but for where it returns to.
    ".globl clobber_registers\n"
    ".type clobber_registers, %function\n"
    "clobber_registers:\n"
    ".cfi_startproc\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18\n"
    "mov x\\n, #-1\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "movi v\\n\\().2d, #0xffffffffffffffff\n"
    ".endr\n"
    "cmp xzr, xzr\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size clobber_registers, . - clobber_registers\n");

// SVE's registers: Z0 to Z31 and P0 to P15 have known contents, are left alone for a while, and stored. The first of
// the latter is what FFR had.
__asm__(
    ".arch_extension sve\n"
    ".type wide_vectors_are_kept, %function\n"
    "wide_vectors_are_kept:\n"
    ".cfi_startproc\n"
    "ldr p0, [x2]\n"
    "wrffr p0.b\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "ldr p\\n, [x2, #\\n, mul vl]\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "ldr z\\n, [x0, #\\n, mul vl]\n"
    ".endr\n"
    "mov w4, #20000\n"
    "5: subs w4, w4, #1\n"
    "b.ne 5b\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "str z\\n, [x1, #\\n, mul vl]\n"
    ".endr\n"
    ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "str p\\n, [x3, #\\n, mul vl]\n"
    ".endr\n"
    "rdffr p0.b\n"
    "str p0, [x3]\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size wide_vectors_are_kept, . - wide_vectors_are_kept\n"
    ".arch_extension nosve\n");

void wide_vectors_are_kept(const char* vectors, char* stored_vectors, const char* predicates, char* stored_predicates);

// What is on demand here.
void spin_with_tiles(struct called_counters* counters) {
  static char vectors[32 * 256], stored_vectors[sizeof vectors];
  static char predicates[16 * 32], stored_predicates[sizeof predicates];
  if ((getauxval(AT_HWCAP) & HWCAP_SVE) == 0) return;
  const unsigned length = (unsigned)prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK;
  if (length > 256) return;
  const unsigned vectors_size = length * 32, predicates_size = length / 8 * 16;
  for (unsigned index = 0; index < vectors_size; ++index) vectors[index] = (char)(index * 7 + 1);
  // FFR takes no others than those of which the first ones are true.
  for (unsigned index = 0; index < predicates_size; ++index)
    predicates[index] = index < length / 8 ? -1 : (char)(index * 5);
  __atomic_add_fetch(&counters->ready, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    wide_vectors_are_kept(vectors, stored_vectors, predicates, stored_predicates);
    if (memcmp(vectors, stored_vectors, vectors_size) != 0 ||
        memcmp(predicates, stored_predicates, predicates_size) != 0) {
      __atomic_add_fetch(&counters->damaged, 1, __ATOMIC_SEQ_CST);
    }
    memset(stored_vectors, 0, vectors_size);
    memset(stored_predicates, 0, predicates_size);
    ++counters->spins;
  }
}

__asm__(
    ".globl sleep_by_code\n"
    ".type sleep_by_code, %function\n"
    "sleep_by_code:\n"
    ".cfi_startproc\n"
    "mov x8, #115\n"
    "svc #0\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size sleep_by_code, . - sleep_by_code\n");

// glibc leaves the number in no place of memory here.
long call_by_stack(long a, long b, long c, long d, long e, long f, long number) {
  return syscall(number, a, b, c, d, e, f);
}

long call_by_argument(long a, long b, long c, long d, long e, long f, long number) {
  return syscall(number, a, b, c, d, e, f);
}
