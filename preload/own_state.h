// SPDX-License-Identifier: Apache-2.0
//
// What this object says about itself to whoever reads this process's memory: proto/attach_state.h.
#pragma once

#include "proto/attach_state.h"

// The object exports it as leakwatch_attach_state . Here it has a name that nobody else can stand in front
// of: two copies of the object may be in one process.
extern "C" __attribute__((visibility("hidden"))) leakwatch::attach::State leakwatch_own_state;
