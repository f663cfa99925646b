// SPDX-License-Identifier: Apache-2.0
//
// What happened between two moments, as a profile of its own.
#pragma once

#include "cli/profile/profile.h"

namespace leakwatch {

// Turns `after` into what has changed since `before`, a profile of the same kind of the same program. Its time is that
// of the later moment. The snapshots of both must outlive it.
void subtract(ProfileContent& after, ProfileContent before);

}  // namespace leakwatch
