// SPDX-License-Identifier: Apache-2.0
//
// See called.h. In assembly, as only there it is known what is where at each moment.
#include <sys/syscall.h>
#include <unistd.h>

#include "called.h"

// Rounds in rdi. Kept: rbx rbp r8-r10 r12-r15, ymm0-ymm14, the rounding mode, the top of the x87 stack,
// and the 128 bytes below the stack pointer.
__asm__(
    ".text\n"
    ".globl spin_and_check\n"
    ".type spin_and_check, @function\n"
    "spin_and_check:\n"
    ".cfi_startproc\n"
    ".irp name, rbx, rbp, r12, r13, r14, r15\n"
    "push %\\name\n"
    ".cfi_adjust_cfa_offset 8\n"
    ".cfi_rel_offset \\name, 0\n"
    ".endr\n"
    "xor %eax, %eax\n"
    ".irp name, rbx, rbp, r8, r9, r10, r12, r13, r14, r15\n"
    "movabs $0x5a17c0de76543210, %\\name\n"
    ".endr\n"
    "lea values(%rip), %rcx\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14\n"
    "vmovdqu 2*\\n(%rcx), %ymm\\n\n"
    ".endr\n"
    "mov $8, %rdx\n"
    ".irp place, 8,16,24,32,40,48,56,64,72,80,88,96,104,112,120,128\n"
    "lea (%rdx,%rbx), %rsi\n"
    "mov %rsi, -\\place(%rsp)\n"
    "add $8, %rdx\n"
    ".endr\n"
    "fldpi\n"
    "ldmxcsr rounding(%rip)\n"
    "2:\n"
    ".irp name, rbp, r8, r9, r10, r12, r13, r14, r15\n"
    "cmp %rbx, %\\name\n"
    "jne 3f\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14\n"
    "vpcmpeqb 2*\\n(%rcx), %ymm\\n, %ymm15\n"
    "vpmovmskb %ymm15, %esi\n"
    "cmp $-1, %esi\n"
    "jne 3f\n"
    ".endr\n"
    "mov $8, %rdx\n"
    ".irp place, 16,24,32,40,48,56,64,72,80,88,96,104,112,120,128\n"
    "lea \\place(%rbx), %rsi\n"
    "cmp %rsi, -\\place(%rsp)\n"
    "jne 3f\n"
    ".endr\n"
    "stmxcsr -4(%rsp)\n"
    "mov -4(%rsp), %esi\n"
    "and $0x6000, %esi\n"
    "cmp $0x4000, %esi\n"
    "jne 3f\n"
    "fldpi\n"
    "fcomip %st(1), %st\n"
    "jne 3f\n"
    "dec %rdi\n"
    "jnz 2b\n"
    "jmp 4f\n"
    "3: inc %rax\n"
    "4: fstp %st(0)\n"
    "ldmxcsr usual(%rip)\n"
    "vzeroupper\n"
    ".irp name, r15, r14, r13, r12, rbp, rbx\n"
    "pop %\\name\n"
    ".cfi_adjust_cfa_offset -8\n"
    ".cfi_restore \\name\n"
    ".endr\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size spin_and_check, . - spin_and_check\n"

    ".globl clobber_registers\n"
    ".type clobber_registers, @function\n"
    "clobber_registers:\n"
    ".cfi_startproc\n"
    "vpcmpeqd %ymm0, %ymm0, %ymm0\n"
    ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "vmovdqa %ymm0, %ymm\\n\n"
    ".endr\n"
    ".irp name, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11\n"
    "mov $-1, %\\name\n"
    ".endr\n"
    "fldz\n"
    "fstp %st(0)\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size clobber_registers, . - clobber_registers\n"

    // Tile 0 holds known rows; each round stores it and compares. Room and the known rows come in rdi.
    ".globl tile_is_kept\n"
    ".type tile_is_kept, @function\n"
    "tile_is_kept:\n"
    ".cfi_startproc\n"
    "ldtilecfg tiles(%rip)\n"
    "mov $64, %ecx\n"
    "tileloadd (%rdi,%rcx,1), %tmm0\n"
    "mov $20000, %edx\n"
    "5: pause\n"
    "dec %edx\n"
    "jnz 5b\n"
    "tilestored %tmm0, (%rsi,%rcx,1)\n"
    "tilerelease\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size tile_is_kept, . - tile_is_kept\n"

    ".section .rodata\n"
    ".balign 64\n"
    "tiles: .byte 1, 0\n"  // palette 1; tile 0 has 16 rows of 64 bytes
    ".skip 14\n"
    ".word 64\n"
    ".skip 30\n"
    ".byte 16\n"
    ".skip 15\n"
    "values:\n"
    ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n"
    ".quad 0x0123456789abcdef * \\n\n"
    ".endr\n"
    "rounding: .long 0x5f80\n"  // upwards
    "usual: .long 0x1f80\n"
    ".text\n");

void tile_is_kept(const char* known, char* stored);

void spin_with_tiles(struct called_counters* counters) {
  static char known[1024], stored[1024];
  const int kRequestPermission = 0x1023, kTileData = 18;
  for (unsigned index = 0; index < sizeof known; ++index) known[index] = (char)(index * 7 + 1);
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return;
  __atomic_add_fetch(&counters->ready, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    tile_is_kept(known, stored);
    for (unsigned index = 0; index < sizeof known; ++index) {
      if (stored[index] != known[index]) __atomic_add_fetch(&counters->damaged, 1, __ATOMIC_SEQ_CST);
      stored[index] = 0;
    }
    ++counters->spins;
  }
}
