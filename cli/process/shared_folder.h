// SPDX-License-Identifier: Apache-2.0
//
// A new folder that a running process and we both see, wherever its root and its mounts are: made in a folder of the
// process, through /proc/PID/root. Gone with everything in it at the end; what a leakwatch that was killed has left
// there goes when the next one comes. It is told by a lock (flock(2)) that each has on its folder while it lives.
//
// Nothing in the other's file system can lead us out of it: paths are resolved as if its root were ours
// (openat2(2), RESOLVE_IN_ROOT), and once made the folder is only spoken of by its descriptor.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cli/base/descriptor.h"

namespace leakwatch {

class SharedFolder {
 public:
  enum class Purpose : std::uint8_t { kSocket, kCode };

  // `user` and `group` are whose rights the process has, which must suffice to read there. For code the mount must
  // permit execution too. Throws Error when no folder will do.
  SharedFolder(pid_t pid, uid_t user, gid_t group, Purpose purpose);
  // In a folder that both see for sure, open at `parent`, which the process names `parent_as_named`; closed to all
  // users but ours when it `is_private`.
  SharedFolder(int parent, const std::string& parent_as_named, bool is_private = false);
  ~SharedFolder();
  SharedFolder(SharedFolder&&) = default;
  SharedFolder& operator=(SharedFolder&&) = delete;

  const std::string& path() const { return path_; }  // as the process names it
  std::string own_path() const;                      // a name by which we reach it
  int descriptor() const { return folder_.number(); }

 private:
  bool make_in(int root, const std::string& parent, Purpose purpose);
  bool make(const std::string& parent_path, mode_t mode);

  uid_t user_ = 0;
  gid_t group_ = 0;
  std::string path_;
  std::string name_;
  Descriptor parent_;
  Descriptor folder_;
  std::string why_not_;
};

// Opens `path` as a process with this root, user and group would; -1 with errno set when it could not.
int open_as(int root, const std::string& path, int flags, uid_t user, gid_t group);

}  // namespace leakwatch
