// SPDX-License-Identifier: Apache-2.0
//
// A file of a running process that lies in no folder (memfd_create(2)): for what a process is to load that has no
// folder which both can be written and permits execution. One of its threads is made to call for it, and to close it.
#pragma once

#include <sys/types.h>

#include <string>

#include "cli/base/descriptor.h"
#include "cli/trace/remote_call.h"

namespace leakwatch {

class MemoryFile {
 public:
  // `remote` must outlive this. Throws Error when the process cannot make one.
  MemoryFile(pid_t pid, RemoteCall& remote, const std::string& name);
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const;                          // by which the process opens it, until it is closed
  int descriptor() const { return file_.number(); }  // ours, to write to

  // Closes it in the process, where it otherwise stays open until the next exec, as it does in a child that is forked
  // meanwhile. What is mapped stays.
  void close();

 private:
  pid_t pid_;
  RemoteCall& remote_;
  std::string name_;
  int number_ = -1;  // in the process
  Descriptor file_;
};

}  // namespace leakwatch
