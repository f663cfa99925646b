// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/own_state.h"

#include "proto/shared_memory.h"

extern "C" {
constinit leakwatch::attach::State leakwatch_own_state = {.shared_memory_version = leakwatch::shared::kVersion};

__attribute__((visibility("default"),
               alias("leakwatch_own_state"))) extern leakwatch::attach::State leakwatch_attach_state;
}
