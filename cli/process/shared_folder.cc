// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/process/shared_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <memory>
#include <string_view>

#include "cli/base/random_name.h"
#include "cli/base/refusal.h"
#include "cli/process/process.h"

namespace leakwatch {

namespace {

constexpr mode_t kOpenFolder = 0755, kPrivateFolder = 0700;

int open_in_root(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT;
  return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

constexpr std::string_view kPrefix = "leakwatch-";

bool is_our_kind_of_name(std::string_view name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kRandomDigits &&
         name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

std::vector<std::string> parents(pid_t pid, uid_t user) {
  return {"/tmp", "/var/tmp", "/dev/shm", "/run", fmt::format("/run/user/{}", user), working_folder(pid), "/"};
}

std::vector<std::string> names_in(int folder) {
  std::vector<std::string> names;
  const int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto close_folder = [](DIR* stream) { closedir(stream); };
  const std::unique_ptr<DIR, decltype(close_folder)> stream(own < 0 ? nullptr : fdopendir(own), close_folder);
  if (stream == nullptr) return names;
  while (const dirent* entry = readdir(stream.get())) {  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    names.emplace_back(entry->d_name);
  }
  return names;
}

void remove_contents(int folder) {
  for (const std::string& name : names_in(folder)) unlinkat(folder, name.c_str(), 0);
}

// Nothing but a folder of ours: not a link, not something that was mounted there, of our own user, not locked by one
// that lives, and with nothing in it that we would not put there.
bool empty_if_abandoned(int parent, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
  const Descriptor folder(static_cast<int>(syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how)));
  struct stat status {};
  if (!folder.is_open() || fstat(folder.number(), &status) != 0 || status.st_uid != geteuid()) return false;
  if (flock(folder.number(), LOCK_EX | LOCK_NB) != 0) return false;
  for (const std::string& file : names_in(folder.number())) {
    const bool is_ours = file == "." || file == ".." || file == "socket" || file.starts_with("libleakwatch");
    if (!is_ours) return false;
  }
  remove_contents(folder.number());
  return true;
}

void remove_abandoned(int parent) {
  for (const std::string& name : names_in(parent)) {
    if (is_our_kind_of_name(name) && empty_if_abandoned(parent, name)) unlinkat(parent, name.c_str(), AT_REMOVEDIR);
  }
}

}  // namespace

// The kernel keeps these identities per thread, so a thread of its own takes them on and ends with them.
int open_as(int root, const std::string& path, int flags, uid_t user, gid_t group) {
  int error = 0;
  const int descriptor = std::async(std::launch::async, [&] {
                           syscall(SYS_setfsgid, group);
                           syscall(SYS_setfsuid, user);
                           const int opened = open_in_root(root, path, flags);
                           error = errno;
                           return opened;
                         }).get();
  errno = error;
  return descriptor;
}

SharedFolder::SharedFolder(pid_t pid, uid_t user, gid_t group, Purpose purpose) : user_(user), group_(group) {
  const Descriptor root(open(fmt::format("/proc/{}/root", pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.is_open()) {
    refuse(fmt::format("The files of process {} cannot be reached: {}.", pid, std::strerror(errno)));
  }
  for (const std::string& parent : parents(pid, user)) {
    if (!parent.empty() && make_in(root.number(), parent, purpose)) return;
  }
  refuse(fmt::format(
      "There is no folder in which leakwatch can put its files for process {} to read{}: {}. Mount a tmpfs{} "
      "at its /tmp.",
      pid, purpose == Purpose::kCode ? " and execute" : "", why_not_,
      purpose == Purpose::kCode ? " without noexec" : ""));
}

SharedFolder::SharedFolder(int parent, const std::string& parent_as_named, bool is_private)
    : parent_(fcntl(parent, F_DUPFD_CLOEXEC, 0)) {
  remove_abandoned(parent);
  if (make(parent_as_named, is_private ? kPrivateFolder : kOpenFolder)) return;
  refuse(fmt::format("No folder for the socket can be made in {}: {}.", parent_as_named, std::strerror(errno)));
}

SharedFolder::~SharedFolder() {
  if (!folder_.is_open()) return;
  remove_contents(folder_.number());
  unlinkat(parent_.number(), name_.c_str(), AT_REMOVEDIR);
}

std::string SharedFolder::own_path() const {
  return fmt::format("/proc/self/fd/{}", folder_.number());
}

bool SharedFolder::make_in(int root, const std::string& parent, Purpose purpose) {
  const auto give_up = [&](const char* why) {
    why_not_ += fmt::format("{}{} ({})", why_not_.empty() ? "" : ", ", parent, why);
    if (folder_.is_open()) unlinkat(parent_.number(), name_.c_str(), AT_REMOVEDIR);
    folder_.reset();
    return false;
  };
  parent_ = Descriptor(open_in_root(root, parent, O_RDONLY | O_DIRECTORY));
  if (!parent_.is_open()) return give_up(std::strerror(errno));
  struct statvfs mount {};
  if (fstatvfs(parent_.number(), &mount) != 0) return give_up(std::strerror(errno));
  if (purpose == Purpose::kCode && (mount.f_flag & ST_NOEXEC) != 0) return give_up("mounted noexec");
  remove_abandoned(parent_.number());
  if (!make(parent, kOpenFolder)) return give_up(std::strerror(errno));
  const Descriptor theirs(open_as(root, path_, O_RDONLY | O_DIRECTORY, user_, group_));
  return theirs.is_open() || give_up("the process may not enter it");
}

bool SharedFolder::make(const std::string& parent_path, mode_t mode) {
  name_ = std::string(kPrefix) + random_digits();
  path_ = (parent_path == "/" ? "" : parent_path) + "/" + name_;
  if (mkdirat(parent_.number(), name_.c_str(), mode) != 0) return false;
  folder_ = Descriptor(openat(parent_.number(), name_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // Whatever the umask is.
  return folder_.is_open() && fchmod(folder_.number(), mode) == 0 && flock(folder_.number(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace leakwatch
