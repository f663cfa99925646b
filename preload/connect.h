// SPDX-License-Identifier: Apache-2.0
//
// The handshake with leakwatch on its Unix socket (proto/handshake.h), bounded in time. Afterwards no descriptor of
// ours is open in the target.
#pragma once

#include "proto/handshake.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

struct Connection {
  handshake::Welcome welcome;
  shared::Header* memory;  // null when leakwatch does not want this process or anything failed
};

Connection connect_to_leakwatch(const char* socket_path);

}  // namespace leakwatch::preload
