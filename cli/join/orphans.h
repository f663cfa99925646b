// SPDX-License-Identifier: Apache-2.0
//
// As process 1 of a container, leakwatch gets the children that others leave behind, and nobody else would wait for
// them: each that ended would stay in the table of processes for good.
#pragma once

#include <sys/types.h>

#include <initializer_list>

namespace leakwatch {

// Waits for those that have ended, if we are process 1, up to the first of `ours`, whose end others wait for. Never
// blocks. For the main thread, which orphans come to.
void reap_orphans(std::initializer_list<pid_t> ours);

}  // namespace leakwatch
