// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/object_delivery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/error.h"

namespace leakwatch {

namespace {

bool is_same_file(int one, int other) {
  struct stat a {
  }, b{};
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool permits_execution(int file) {
  struct statvfs mount {};
  return fstatvfs(file, &mount) == 0 && (mount.f_flag & ST_NOEXEC) == 0;
}

bool can_load(const AttachFacts& process, const std::string& object) {
  const Descriptor ours(open(object.c_str(), O_RDONLY | O_CLOEXEC));
  const Descriptor root(open(fmt::format("/proc/{}/root", process.pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Descriptor theirs(open_as(root.number(), object, O_RDONLY, process.user, process.group));
  return ours.is_open() && theirs.is_open() && is_same_file(ours.number(), theirs.number()) &&
         permits_execution(theirs.number());
}

void copy(const std::string& object, int folder, const std::string& name) {
  const auto fail = [&](const char* what) {
    throw Error(fmt::format("cannot {} {} for the process: {}", what, object, std::strerror(errno)));
  };
  const Descriptor from(open(object.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!from.is_open() || fstat(from.number(), &status) != 0) fail("read");
  const Descriptor to(openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to.is_open()) fail("copy");
  for (off_t done = 0; done < status.st_size;) {
    const ssize_t part = sendfile(to.number(), from.number(), &done, static_cast<std::size_t>(status.st_size - done));
    if (part <= 0) fail("copy");
  }
  if (fchmod(to.number(), 0555) != 0) fail("copy");
}

}  // namespace

ObjectDelivery::ObjectDelivery(const AttachFacts& process, const std::string& object) : path_(object) {
  if (can_load(process, object)) return;
  folder_.emplace(process.pid, process.user, process.group, SharedFolder::Purpose::kCode);
  const std::string name = std::filesystem::path(object).filename();
  copy(object, folder_->descriptor(), name);
  path_ = folder_->path() + "/" + name;
}

}  // namespace leakwatch
