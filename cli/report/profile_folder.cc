// SPDX-License-Identifier: Apache-2.0
//
// The sink for files. A profile is the only thing that is left of a run that ended badly, so it must be whole whenever
// its name exists: it is written beside its name, brought to the disk, and renamed. A name is never given twice, not
// even to two sessions that share a folder by mistake.
//
// Profiles tell what a program does, so folder and files are their owner's alone. A full disk costs a profile and never
// the session: write() reports and does not throw. Whoever calls it ignores SIGXFSZ, or a file size limit kills
// instead.
#include "cli/report/profile_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include "cli/base/error.h"

namespace leakwatch {
namespace {

// From here on, functions that return an int return 0 or an errno.

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }

  // Some file systems say only here that the disk is full.
  int close() {
    if (fd_ < 0) return 0;
    const int result = ::close(fd_);
    fd_ = -1;
    return result == 0 || errno == EINTR ? 0 : errno;
  }

 private:
  int fd_;
};

int make_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return 0;
  const std::size_t slash = path.rfind('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) return errno;
  if (const int error = make_folder(path.substr(0, slash)); error != 0) return error;
  return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST ? 0 : errno;
}

// "heap.0001.pb.gz" does, "cpu.pb.gz" of somebody else does not; of text files those that are ours alone.
bool is_profile(std::string_view name) {
  constexpr std::string_view kEnding = ".pb.gz";
  if (name.starts_with("threads.") && name.ends_with(".txt")) return true;
  if (!name.ends_with(kEnding)) return false;
  name.remove_suffix(kEnding.size());
  const std::size_t dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < name.size();
}

// The first profile in the folder by name, empty when there is none.
std::string find_profile(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) throw Error(fmt::format("cannot read the folder {}: {}", path, std::strerror(errno)));
  std::string first;
  while (const dirent* entry = readdir(folder.get())) {
    if (is_profile(entry->d_name) && (first.empty() || entry->d_name < first)) first = entry->d_name;
  }
  return first;
}

bool is_empty_folder(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_empty(path, error) && std::filesystem::is_directory(path, error) &&
         access((path + "/.").c_str(), W_OK | X_OK) == 0;
}

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

int write_file(const std::string& path, std::string_view bytes) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return errno;
  if (const int error = write_all(file.get(), bytes); error != 0) return error;
  if (fsync(file.get()) != 0) return errno;
  return file.close();
}

int rename_without_replacing(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  // Some network file systems cannot do it; they get what they can.
  if (errno != EINVAL && errno != ENOSYS) return errno;
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

int sync_folder(const std::string& path) {
  const FileDescriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return errno;
  // EINVAL: this file system has nothing to sync in a folder.
  return fsync(folder.get()) == 0 || errno == EINVAL ? 0 : errno;
}

std::string reason(int error, const std::string& folder) {
  if (error == ENOSPC || error == EDQUOT) return fmt::format("no space left on {}", folder);
  if (error == EEXIST) return fmt::format("somebody else writes profiles into {}", folder);
  return fmt::format("cannot write to {}: {}", folder, std::strerror(error));
}

}  // namespace

ProfileFolder::ProfileFolder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  if (const int error = make_folder(path_); error != 0) {
    throw Error(fmt::format("cannot create the folder {}: {}; choose another with -o", path_, std::strerror(error)));
  }
  if (access((path_ + "/.").c_str(), W_OK | X_OK) != 0) {
    throw Error(fmt::format("cannot write to the folder {}: {}; choose another with -o", path_, std::strerror(errno)));
  }
  if (const std::string profile = find_profile(path_); !profile.empty()) {
    throw Error(fmt::format("{} already holds profiles ({}); choose another folder with -o", path_, profile));
  }
}

ProfileFolder ProfileFolder::make_new(const std::string& path) {
  std::string name = path;
  // An empty one may be what an attempt has left that came to nothing.
  for (int number = 2; mkdir(name.c_str(), 0700) != 0 && errno == EEXIST && !is_empty_folder(name); ++number)
    name = fmt::format("{}-{}", path, number);
  return ProfileFolder(name);
}

ProfileFolder::Written ProfileFolder::write(const std::string& kind, const std::string& bytes,
                                            const std::string& ending) {
  int& next = next_number(kind, ending);
  const std::string name = fmt::format("{}.{:04}.{}", kind, next, ending);
  const std::string target = path_ + "/" + name;
  const std::string temporary = temporary_name(kind);
  unlink(temporary.c_str());  // of a leakwatch that was killed here
  int error = write_file(temporary, bytes);
  if (error == 0) error = rename_without_replacing(temporary, target);
  if (error != 0) {
    unlink(temporary.c_str());
  } else if (error = sync_folder(path_); error != 0) {
    unlink(target.c_str());
  }
  if (error != 0) return {{}, fmt::format("{}: {} was not written; the session goes on", reason(error, path_), name)};
  ++next;
  return {target, {}};
}

// Hidden, and no name that a search for profiles finds.
std::string ProfileFolder::temporary_name(const std::string& kind) const {
  return fmt::format("{}/.{}.{}.part", path_, kind, getpid());
}

void ProfileFolder::skip(const std::string& kind, const std::string& ending) {
  ++next_number(kind, ending);
}

int& ProfileFolder::next_number(const std::string& kind, const std::string& ending) {
  return next_numbers_.try_emplace({kind, ending}, 1).first->second;
}

}  // namespace leakwatch
