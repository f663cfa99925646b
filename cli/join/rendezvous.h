// SPDX-License-Identifier: Apache-2.0
//
// Where a target finds leakwatch: a Unix socket in a folder of its own. Speaks the handshake of proto/handshake.h,
// checks who calls, hands the shared memory over.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/base/descriptor.h"
#include "cli/drain/shared_region.h"
#include "cli/process/process.h"
#include "cli/process/shared_folder.h"

namespace leakwatch {

class Rendezvous {
 public:
  // Makes folder and socket: where only our user may enter, unless we may watch whatever user the program becomes
  // (setpriv, gosu). Throws Error.
  Rendezvous();
  // In a folder that a process of another user or with other mounts sees as well.
  explicit Rendezvous(SharedFolder folder);
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  const std::string& path() const { return path_; }  // as the target names it
  // A path to `file` that LD_PRELOAD can carry, whose list is split at blanks and colons: `file` itself, or a link to
  // it beside the socket.
  std::string plain_path(const std::string& file);
  int descriptor() const { return listener_.number(); }  // readable when somebody calls

  struct Guest {
    std::unique_ptr<SharedRegion> region;  // mapped by the guest
    ProcessFacts facts;                    // read while the guest waited for our answer, so that it cannot be gone
    std::string error;                     // why it stays unwatched after all, else empty
  };
  // Answers one caller. Nothing when it was not the wanted one: others are sent away and run unwatched. Bounded in
  // time, whatever the caller does.
  std::optional<Guest> accept(pid_t wanted, const RegionSettings& settings);

 private:
  SharedFolder folder_;  // gone at the end, with what is in it
  std::string path_;
  Descriptor listener_;
};

}  // namespace leakwatch
