// SPDX-License-Identifier: Apache-2.0
//
// Brings our object to where a running process can load it: by its own path when the process sees the same file there
// and may read and execute it, else as a copy in a folder of the process.
#pragma once

#include <optional>
#include <string>

#include "cli/attach_check.h"
#include "cli/shared_folder.h"

namespace leakwatch {

class ObjectDelivery {
 public:
  // `object` is our path of it. Throws Error when the process can see no folder that will do.
  ObjectDelivery(const AttachFacts& process, const std::string& object);

  const std::string& path() const { return path_; }  // as the process opens it
  bool is_copy() const { return folder_.has_value(); }

  // A copy goes at the end, or once the process has it mapped: it keeps the file then. No more is needed.
  void withdraw() { folder_.reset(); }

 private:
  std::string path_;
  std::optional<SharedFolder> folder_;
};

}  // namespace leakwatch
