// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "symbolize/file_identity.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace leakwatch {

int open_regular(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  struct stat status = {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
  close(fd);
  return -1;
}

std::string map_file_path(pid_t pid, std::uint64_t start, std::uint64_t limit) {
  char path[96];
  std::snprintf(path, sizeof path, "/proc/%d/map_files/%llx-%llx", pid, static_cast<unsigned long long>(start),
                static_cast<unsigned long long>(limit));
  return path;
}

std::string build_id_text(const unsigned char* bytes, std::size_t count) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t index = 0; index < count; ++index) {
    text += kDigits[bytes[index] >> 4U];
    text += kDigits[bytes[index] & 15U];
  }
  return text;
}

std::string build_id_of(const std::string& path) {
  const int fd = open_regular(path);
  if (fd < 0) return {};
  elf_version(EV_CURRENT);
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  const void* bytes = nullptr;
  const ssize_t count = elf == nullptr ? -1 : dwelf_elf_gnu_build_id(elf, &bytes);
  std::string text = count <= 0
                         ? std::string()
                         : build_id_text(static_cast<const unsigned char*>(bytes), static_cast<std::size_t>(count));
  elf_end(elf);
  close(fd);
  return text;
}

}  // namespace leakwatch
