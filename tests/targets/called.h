// SPDX-License-Identifier: Apache-2.0
//
// What the program `called` counts, for itself and for the tests that have the file mapped too; and the part of it that
// is written in the machine's language.
#pragma once

#define CALLED_TEXT "a text that the function is to get"

struct called_counters {
  volatile int ready;            // threads that are at their place
  volatile int calls;            // of the function
  volatile int wrong_arguments;  // of these
  volatile int wrong_mask;       // calls during which the wrong signals were blocked
  volatile int on_small_stack;   // calls on the alternate signal stack
  volatile int interrupted;      // system calls that ended without cause
  volatile int damaged;          // anything that was not as a thread had left it
  volatile int checks;           // how often a thread looked at its mask and its alternate stack
  volatile int handled;          // runs of the handlers
  volatile int spins, loads;
};

#ifdef __cplusplus
extern "C" {
#endif

// Keeps known values in all registers and in the bytes below the stack pointer; how many it found changed.
long spin_and_check(long rounds);
void clobber_registers(void);
// The same for the tiles of AMX, for ever; only counts itself ready where there are any.
void spin_with_tiles(struct called_counters* counters);

// A system call with the last argument as its number; in a function that enters the kernel, and in one that this calls.
long call_by_stack(long a, long b, long c, long d, long e, long f, long number);
long call_by_argument(long a, long b, long c, long d, long e, long f, long number);
// clock_nanosleep(2), with its number in the instruction before the one that enters the kernel.
long sleep_by_code(long clock, long flags, const void* request, void* left);

#ifdef __cplusplus
}
#endif
