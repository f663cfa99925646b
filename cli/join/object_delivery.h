// SPDX-License-Identifier: Apache-2.0
//
// Brings our object to where a running process can load it: by its own path when the process sees the same file there
// and may read and execute it, else as a copy in a folder of the process, and where no folder will do, as in containers
// with a root that cannot be written to, in a file of the process's memory.
#pragma once

#include <optional>
#include <string>

#include "cli/join/attach_check.h"
#include "cli/process/shared_folder.h"
#include "cli/trace/memory_file.h"
#include "cli/trace/remote_call.h"

namespace leakwatch {

class ObjectDelivery {
 public:
  // `object` is our path of it. `remote` must outlive this. Throws Error when there is no way.
  ObjectDelivery(const AttachFacts& process, const std::string& object, RemoteCall& remote);

  const std::string& path() const { return path_; }  // as the process opens it
  bool is_copy() const { return folder_ || memory_; }

  // A copy may go once the process has it mapped: it keeps the file then. No more is needed. One in a folder goes at
  // the end by itself.
  void withdraw();

 private:
  void copy_to_folder(const AttachFacts& process, const std::string& object);
  void copy_to_memory(const AttachFacts& process, const std::string& object, RemoteCall& remote);

  std::string path_;
  std::optional<SharedFolder> folder_;
  std::optional<MemoryFile> memory_;
};

}  // namespace leakwatch
