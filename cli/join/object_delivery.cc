// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/join/object_delivery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/base/error.h"
#include "cli/base/refusal.h"

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

[[noreturn]] void fail(const char* what, const std::string& object) {
  throw Error(fmt::format("cannot {} {} for the process: {}", what, object, std::strerror(errno)));
}

void copy(const std::string& object, int to) {
  const Descriptor from(open(object.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!from.is_open() || fstat(from.number(), &status) != 0) fail("read", object);
  for (off_t done = 0; done < status.st_size;) {
    const ssize_t part = sendfile(to, from.number(), &done, static_cast<std::size_t>(status.st_size - done));
    if (part <= 0) fail("copy", object);
  }
}

}  // namespace

ObjectDelivery::ObjectDelivery(const AttachFacts& process, const std::string& object, RemoteCall& remote)
    : path_(object) {
  if (can_load(process, object)) return;
  try {
    copy_to_folder(process, object);
  } catch (const Error& no_folder) {
    folder_.reset();
    try {
      copy_to_memory(process, object, remote);
    } catch (const Error& no_memory) {
      withdraw();
      refuse(fmt::format("{} Nor can the object be brought there in memory: {}", no_folder.what(), no_memory.what()));
    }
  }
}

void ObjectDelivery::copy_to_folder(const AttachFacts& process, const std::string& object) {
  folder_.emplace(process.pid, process.user, process.group, SharedFolder::Purpose::kCode);
  const std::string name = std::filesystem::path(object).filename();
  const Descriptor to(
      openat(folder_->descriptor(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to.is_open()) fail("copy", object);
  copy(object, to.number());
  if (fchmod(to.number(), 0555) != 0) fail("copy", object);
  path_ = folder_->path() + "/" + name;
}

void ObjectDelivery::copy_to_memory(const AttachFacts& process, const std::string& object, RemoteCall& remote) {
  refuse_filtered(process.pid, "it", JoiningCalls::kOfMemoryFile);
  memory_.emplace(process.pid, remote, std::filesystem::path(object).stem());
  copy(object, memory_->descriptor());
  path_ = memory_->path();
}

void ObjectDelivery::withdraw() {
  folder_.reset();
  if (memory_) memory_->close();
  memory_.reset();
}

}  // namespace leakwatch
