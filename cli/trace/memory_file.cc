// SPDX-License-Identifier: Apache-2.0
//
// See the header. What the call returned is not asked for: the process's list of open files has the answer, under a
// name that nobody else has given.

#include "cli/trace/memory_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "cli/base/error.h"
#include "cli/base/random_name.h"

namespace leakwatch {

namespace {

// The number of the process's descriptor for the file of this name, -1 when there is none.
int find_descriptor(pid_t pid, const std::string& name) {
  const std::string wanted = fmt::format("/memfd:{} (deleted)", name);
  std::error_code error;
  // The process may end meanwhile.
  std::filesystem::directory_iterator entry(fmt::format("/proc/{}/fd", pid), error), end;
  for (; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry->path(), gone) != wanted) continue;
    const std::string digits = entry->path().filename();
    int number = -1;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
  }
  return -1;
}

}  // namespace

MemoryFile::MemoryFile(pid_t pid, RemoteCall& remote, const std::string& name)
    : pid_(pid), remote_(remote), name_(fmt::format("{}-{}", name, random_digits())) {
  // Not followed: in another namespace of processes it leads us nowhere.
  const std::string self = fmt::format("/proc/{}/root/proc/self", pid);
  if (faccessat(AT_FDCWD, self.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0)
    throw Error("it sees no /proc, by which to open it.");
  const std::uint64_t create = remote.find_function(ModuleRole::kLibc, "memfd_create");
  if (create == 0 || remote.find_function(ModuleRole::kLibc, "syscall") == 0)
    throw Error("its libc has no memfd_create.");
  const RemoteCallResult made = remote.call(create, {name_, std::uint64_t{MFD_CLOEXEC}});
  if (made.state != RemoteCallResult::State::kReturned)
    throw Error(made.reason.empty() ? "memfd_create did not return in time." : made.reason + ".");
  number_ = find_descriptor(pid, name_);
  if (number_ < 0) throw Error("memfd_create failed in it: a sandbox or a limit of open files may be in the way.");
  file_ = Descriptor(open(fmt::format("/proc/{}/fd/{}", pid, number_).c_str(), O_WRONLY | O_CLOEXEC));
  if (file_.is_open()) return;
  const int error = errno;
  close();
  throw Error(fmt::format("its memory file cannot be opened: {}.", std::strerror(error)));
}

// Spelled as nobody else does. To the loader an equal name is the object that it has under it, and a program which
// loads files of its memory itself gets the same number once ours is closed.
std::string MemoryFile::path() const {
  return fmt::format("/proc/self/./fd/{}", number_);
}

// Not by libc's close, at which a thread may be cancelled. And by its number alone it might be another file by now, if
// the program has closed all that it knew nothing of.
void MemoryFile::close() {
  file_.reset();
  if (number_ >= 0 && find_descriptor(pid_, name_) == number_) {
    remote_.call(remote_.find_function(ModuleRole::kLibc, "syscall"),
                 {std::uint64_t{SYS_close}, static_cast<std::uint64_t>(number_)});
  }
  number_ = -1;
}

}  // namespace leakwatch
