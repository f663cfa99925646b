// SPDX-License-Identifier: Apache-2.0
//
// See the header. What the call returned is not asked for: the process's list of open files has the answer, under a
// name that nobody else has given.

#include "cli/memory_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <random>

#include "cli/error.h"

namespace leakwatch {

namespace {

std::string random_digits() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

// The number of the process's descriptor for the file of this name, -1 when there is none.
int find_descriptor(pid_t pid, const std::string& name) {
  const std::string wanted = fmt::format("/memfd:{} (deleted)", name);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid), error)) {
    if (std::filesystem::read_symlink(entry.path(), error) != wanted) continue;
    const std::string digits = entry.path().filename();
    int number = -1;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
  }
  return -1;
}

}  // namespace

MemoryFile::MemoryFile(pid_t pid, RemoteCall& remote, const std::string& name) : pid_(pid), remote_(remote) {
  if (access(fmt::format("/proc/{}/root/proc/version", pid).c_str(), F_OK) != 0)
    throw Error("it sees no /proc, by which to open it.");
  const std::uint64_t create = remote.find_function(ModuleRole::kLibc, "memfd_create");
  if (create == 0 || remote.find_function(ModuleRole::kLibc, "close") == 0)
    throw Error("its libc has no memfd_create.");
  const std::string full_name = fmt::format("{}-{}", name, random_digits());
  const RemoteCallResult made = remote.call(create, {full_name, std::uint64_t{MFD_CLOEXEC}});
  if (made.state != RemoteCallResult::State::kReturned)
    throw Error(made.reason.empty() ? "memfd_create did not return in time." : made.reason + ".");
  number_ = find_descriptor(pid, full_name);
  if (number_ < 0) throw Error("memfd_create failed in it: a sandbox or a limit of open files may be in the way.");
  file_ = Descriptor(open(fmt::format("/proc/{}/fd/{}", pid, number_).c_str(), O_WRONLY | O_CLOEXEC));
  if (file_.is_open()) return;
  const int error = errno;
  close();
  throw Error(fmt::format("its memory file cannot be opened: {}.", std::strerror(error)));
}

std::string MemoryFile::path() const {
  return fmt::format("/proc/self/fd/{}", number_);
}

void MemoryFile::close() {
  file_.reset();
  if (number_ < 0) return;
  remote_.call(remote_.find_function(ModuleRole::kLibc, "close"), {static_cast<std::uint64_t>(number_)});
  number_ = -1;
}

}  // namespace leakwatch
