// SPDX-License-Identifier: Apache-2.0
//
// `leakwatch attach`: joins a process that runs, watch it, leave it as it was. `leakwatch detach`: clean up after a
// leakwatch that died.
#pragma once

#include "cli/options.h"

namespace leakwatch {

// Until the process ends, the time is over or a signal says so. Returns 0, or throws Error before anything was changed:
// status 126 when the process cannot be joined, 127 when there is none.
int attach_to_process(const AttachOptions& options);

int detach_from_process(const DetachOptions& options);

}  // namespace leakwatch
