// SPDX-License-Identifier: Apache-2.0
//
// C functions for the symbol tables: an exported one with a second, local name, one that only .symtab knows, and one in
// assembly without type or size.
__attribute__((noinline)) int exported(int value) {  // exported begins
  return value * 3;                                  // exported stands
}

static int local_alias(int) __attribute__((alias("exported"), used));

__attribute__((noinline, used)) static int unexported(int value) {
  return value * 5;
}

__asm__(
    ".text\n"
    ".globl bare\n"
    "bare: nop\n"
    "nop\n"
    "ret\n"
    ".globl after_bare\n"
    "after_bare: ret\n");

int entry(int value) {
  return exported(value) + unexported(value);
}
