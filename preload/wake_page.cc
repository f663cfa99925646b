// SPDX-License-Identifier: Apache-2.0
//
// See the header. The files of processes that have ended are removed by those that start later, and by leakwatch: a
// process that ends may be one that may not touch a file any more.

#include "preload/wake_page.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "preload/clock.h"
#include "preload/descriptor.h"
#include "preload/environment.h"
#include "preload/private_memory.h"
#include "preload/random.h"
#include "preload/system.h"
#include "proto/handshake.h"
#include "proto/shared_memory.h"

namespace leakwatch::preload {

namespace {

constexpr int kAttempts = 3;    // at a name
constexpr int kMostReads = 16;  // of a folder, some fifty entries each
constexpr int kMostLooks = 64;  // at files of others
constexpr std::size_t kNameBytes = 64;

// As the kernel writes a folder's entries (getdents64(2)); the name follows at once.
struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  std::uint8_t type;
};
constexpr std::size_t kNameOffset = 19;

char* append_number(char* out, std::uint64_t value, unsigned base, unsigned digits) {
  char text[24];
  unsigned count = 0;
  do text[count++] = "0123456789abcdef"[value % base];
  while ((value /= base) != 0 || count < digits);
  while (count != 0) *out++ = text[--count];
  return out;
}

// Returns the end of what all names of this user begin with.
char* write_prefix(char* name) {
  std::strcpy(name, wake::kNamePrefix);
  char* end = append_number(name + std::strlen(name), static_cast<std::uint64_t>(system_call(SYS_geteuid)), 10, 1);
  *end++ = '.';
  *end = 0;
  return end;
}

long open_at(long folder, const char* name, int flags) {
  return system_call(SYS_openat, folder, as_argument(name), flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void remove_file(long folder, const char* name) {
  system_call(SYS_unlinkat, folder, as_argument(name), 0);
}

// Nobody has it mapped any more.
bool is_abandoned(long folder, const char* name) {
  const Descriptor file(open_at(folder, name, O_RDONLY | O_NONBLOCK));
  return file.is_open() && system_call(SYS_flock, file.number(), LOCK_EX | LOCK_NB) == 0;
}

void remove_abandoned(long folder, const char* prefix) {
  alignas(Entry) char entries[2048] = {};
  int looks = 0;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const long bytes = system_call(SYS_getdents64, folder, as_argument(entries), sizeof entries);
    if (bytes <= 0) return;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const Entry*>(entries + at);
      const char* name = entries + at + kNameOffset;
      at += entry->bytes;
      if (std::strncmp(name, prefix, std::strlen(prefix)) != 0) continue;
      if (++looks > kMostLooks) return;
      if (is_abandoned(folder, name)) remove_file(folder, name);
    }
  }
}

// Who calls may not be allowed to read it. Empty when it is too long.
void write_executable(char (&path)[wake::kNameBytes]) {
  const long bytes = system_call(SYS_readlink, as_argument("/proc/self/exe"), as_argument(path), sizeof path);
  path[bytes > 0 && bytes < static_cast<long>(sizeof path) ? bytes : 0] = 0;
}

// Written as a whole and not only made as long: where there is no room, that shows here, and not as a signal later on.
bool fill(long file, const char* folder) {
  alignas(wake::Page) static constinit char bytes[wake::kBytes] = {};
  auto* page = reinterpret_cast<wake::Page*>(bytes);
  page->magic = wake::kMagic;
  page->version = wake::kVersion;
  page->shared_memory_version = shared::kVersion;
  page->handshake_version = handshake::kVersion;
  std::strcpy(page->folder, folder);
  write_executable(page->executable);
  return system_call(SYS_pwrite64, file, as_argument(bytes), sizeof bytes, 0) == sizeof bytes;
}

// Whoever clears up may have taken it for an abandoned one before we had the lock.
bool lock_new_file(long file) {
  struct stat status {};
  return system_call(SYS_flock, file, LOCK_SH | LOCK_NB) == 0 &&
         system_call(SYS_fstat, file, as_argument(&status)) == 0 && status.st_nlink == 1;
}

}  // namespace

constinit wake::Page WakePage::nobody_calls_{};
constinit WakePage wake_page;

bool WakePage::open(Answer answer) {
  if (getauxval(AT_SECURE) != 0) return false;
  own_process_ = static_cast<std::uint32_t>(system_call(SYS_getpid));
  for (const char* folder : wake::kFolders) {
    if (!make_in(folder)) continue;
    answer_ = answer;
    return true;
  }
  return false;
}

bool WakePage::make_in(const char* folder) {
  const Descriptor opened(system_call(SYS_openat, AT_FDCWD, as_argument(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.is_open()) return false;
  char name[kNameBytes];
  char* end = write_prefix(name);
  remove_abandoned(opened.number(), name);
  std::uint64_t random = monotonic_ns() ^ (std::uint64_t{own_process_} << 40);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    *append_number(end, next_random(random), 16, 16) = 0;
    wake::Page* page = make_file(opened.number(), folder, name);
    if (page == nullptr) continue;
    // Not every file system keeps a lock with the mapping: overlayfs maps another file than the one that was locked.
    if (!is_abandoned(opened.number(), name)) {
      page_ = page;
      return true;
    }
    unmap_private(page, wake::kBytes);
    remove_file(opened.number(), name);
    return false;
  }
  return false;
}

wake::Page* WakePage::make_file(long folder_descriptor, const char* folder, const char* name) const {
  const Descriptor file(open_at(folder_descriptor, name, O_RDWR | O_CREAT | O_EXCL));
  if (!file.is_open()) return nullptr;
  long address = -ENOSPC;
  if (lock_new_file(file.number()) && system_call(SYS_fchmod, file.number(), 0600) == 0 && fill(file.number(), folder))
    address = system_call(SYS_mmap, 0, wake::kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 0);
  if (is_error(address)) {
    remove_file(folder_descriptor, name);
    return nullptr;
  }
  leave_out_of_core_dumps(address, wake::kBytes);
  return reinterpret_cast<wake::Page*>(address);
}

// Not in a call of the loader, which is in the middle of something.
void WakePage::look_for_own_call(std::uint64_t from) {
  if (!may_start_from(from)) return;
  const std::uint32_t number = page_->last_number.load(std::memory_order_acquire);
  std::uint32_t before = seen_.load(std::memory_order_relaxed);
  if (number == before || !seen_.compare_exchange_strong(before, number, std::memory_order_acq_rel)) return;
  for (wake::Call& call : page_->calls) {
    if (call.process.load(std::memory_order_relaxed) == own_process_) follow(call);
  }
}

// Of the threads that come here for the same call one does it. One that is being written is looked at next time.
void WakePage::follow(wake::Call& call) const {
  const std::uint32_t number = call.number.load(std::memory_order_acquire);
  std::uint32_t taken = call.taken.load(std::memory_order_relaxed);
  if (number == 0 || number == taken || own_process_ != static_cast<std::uint32_t>(system_call(SYS_getpid))) return;
  // What was copied counts if the number is still the same afterwards: acquired, so that it is not read before.
  WakeCall wanted{static_cast<wake::Action>(call.action.load(std::memory_order_acquire)), {}};
  for (std::size_t i = 0; i < wake::kPathBytes / 8; ++i) {
    const std::uint64_t word = call.socket[i].load(std::memory_order_acquire);
    std::memcpy(wanted.socket + i * 8, &word, sizeof word);
  }
  wanted.socket[wake::kPathBytes - 1] = 0;
  if (call.number.load(std::memory_order_relaxed) != number ||
      !call.taken.compare_exchange_strong(taken, number, std::memory_order_acq_rel))
    return;
  call.outcome.store(static_cast<std::uint32_t>(answer_(wanted)), std::memory_order_relaxed);
  call.answered.store(number, std::memory_order_release);
}

void WakePage::after_fork_in_child() {
  own_process_ = static_cast<std::uint32_t>(system_call(SYS_getpid));
}

}  // namespace leakwatch::preload
