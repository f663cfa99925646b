// SPDX-License-Identifier: Apache-2.0
//
// A function inside a block of another one (a GNU extension; C++ has lambdas), and a call that was inlined inside that
// block: in the debug information both stand below the block.
static inline __attribute__((always_inline)) int leaf(int value) {   // leaf begins
  asm volatile(".globl leaf_probe\nleaf_probe: nop" : "+r"(value));  // leaf stands
  return value;
}

__attribute__((noinline)) int holder(int count) {  // holder begins
  int sum = 0;
  for (int index = 0; index < count; ++index) {
    auto int inner(int value) __attribute__((noinline));
    int inner(int value) {                                                 // inner begins
      asm volatile(".globl inner_probe\ninner_probe: nop" : "+r"(value));  // inner stands
      return value + count;
    }
    sum += inner(index);
    sum += leaf(sum);  // holder stands
  }
  return sum;
}
