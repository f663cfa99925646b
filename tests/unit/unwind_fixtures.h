// SPDX-License-Identifier: Apache-2.0
//
// Functions whose frames look like what an unwinder meets in the field. Each calls back from inside its frame. They are
// compiled at -O2 without frame pointers, in a shared library, so that a walk can tell them from the test itself.
#pragma once

#include <cstddef>

namespace leakwatch::fixtures {

using Callback = void (*)(void*);

void recurse(unsigned depth, Callback callback, void* argument);
void with_alloca(std::size_t bytes, Callback callback, void* argument);
void realigned(std::size_t bytes, Callback callback, void* argument);  // locals at 64 bytes, and alloca
void with_many_registers(const std::size_t* numbers, Callback callback, void* argument);  // rbp is one of them
void with_large_frame(Callback callback, void* argument);
void through_qsort(Callback callback, void* argument);
void from_signal_handler(Callback callback, void* argument);

// In assembly: a CFA that is counted from rbx, which no FrameRule can say; and no unwind information at all.
extern "C" void leakwatch_fixture_cfa_in_rbx(Callback callback, void* argument);
extern "C" void leakwatch_fixture_without_rules(Callback callback, void* argument);

}  // namespace leakwatch::fixtures
