# SPDX-License-Identifier: Apache-2.0
#
# Debug information that no compiler writes: every block names its own first child as its next sibling, so a walk that
# believes it visits the last of the 64 blocks 2^64 times.
  .text
  .globl trapped
  .type trapped, @function
trapped:
  ret
  .size trapped, . - trapped

  .section .debug_abbrev, "", @progbits
abbreviations:
  .uleb128 1, 0x11                   # a compile unit
  .byte 1                            # with children
  .uleb128 0x11, 0x01, 0x12, 0x06    # low_pc as an address, high_pc as its size
  .uleb128 0, 0
  .uleb128 2, 0x0b                   # a block
  .byte 1
  .uleb128 0x01, 0x13                # sibling as an offset in the unit
  .uleb128 0, 0
  .byte 0

  .section .debug_info, "", @progbits
unit:
  .long unit_end - unit - 4
  .value 4                           # DWARF 4
  .long abbreviations
  .byte 8
  .uleb128 1
  .quad trapped
  .long 1
  .rept 64
  .uleb128 2
  .long 1f - unit
1:
  .endr
  .zero 65                           # the ends of the children
unit_end:
