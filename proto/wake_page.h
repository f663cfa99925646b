// SPDX-License-Identifier: Apache-2.0
//
// How a process is called that has our object preloaded and sleeps: through one page of memory that it shares with
// whoever may open the file behind it. So nobody needs the right to trace it, and the process looks by a load instead
// of a system call, which a sandbox could forbid.
//
// The process makes the file when it starts: FOLDER/leakwatch-wake.UID.16HEX, for its owner alone (0600). It closes the
// descriptor, so that nothing is left for it to trip over; the mapping stays, in children made by fork too, which are
// called by the same page. Whoever has it mapped holds a shared lock (flock) on it, as the kernel keeps a lock for as
// long as the file is mapped: a file of which an exclusive lock can be had belongs to nobody any more and may go.
//
// A call takes one of the places on the page, as the processes that share it may be called at the same time. Its caller
// holds a record lock (F_OFD_SETLK) on the bytes of the place for as long as the call is his. To write it, and the
// number behind it, he holds one on `last_number` as well: first the place's number becomes 0, then all else is
// written, then the place's number, then `last_number`. Processes look at that alone, with one of their next
// allocations or when they make a thread; the one that is meant does what it is asked, and answers in the same place.
// The caller reads and writes the file and does not map it: somebody could cut it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::wake {

// Where the file may be, the best first: memory comes before a disk.
inline constexpr const char* kFolders[] = {"/dev/shm", "/tmp", "/var/tmp"};
inline constexpr char kNamePrefix[] = "leakwatch-wake.";

inline constexpr std::uint64_t kMagic = 0x01'65'6b'61'57'57'4c'4c;  // "LLWWake\1"
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kBytes = 4096;  // of the file
inline constexpr std::size_t kPathBytes = 112;
inline constexpr std::size_t kNameBytes = 256;

enum class Action : std::uint32_t {
  kAttach = 1,  // to `socket`, as leakwatch_attach does
  kDetach = 2,  // as leakwatch_detach
};

struct Call {
  std::atomic<std::uint32_t> number;   // 0: none
  std::atomic<std::uint32_t> process;  // who is meant, by its number in its own pid namespace
  std::atomic<std::uint32_t> action;   // Action
  // By the process: the number of the call that it has begun with, of the one that it is through with, and an
  // attach::Outcome for that.
  std::atomic<std::uint32_t> taken;
  std::atomic<std::uint32_t> answered;
  std::atomic<std::uint32_t> outcome;
  std::uint64_t reserved;
  std::atomic<std::uint64_t> socket[kPathBytes / 8];
};
static_assert(sizeof(Call) == 144 && offsetof(Call, socket) == 32);

inline constexpr std::size_t kCalls = 16;  // places

struct Page {
  // Written before anybody else can see the file as a whole one.
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t shared_memory_version;
  std::uint32_t handshake_version;
  std::uint32_t reserved;
  char folder[kPathBytes];      // of the file, as its maker named it
  char executable[kNameBytes];  // of its maker; empty when that is not known
  // Of all calls, so that a change says that there is a new one, or that somebody may have missed his.
  alignas(64) std::atomic<std::uint32_t> last_number;
  alignas(64) Call calls[kCalls];
};
static_assert(sizeof(Page) <= kBytes);
static_assert(offsetof(Page, last_number) == 448 && offsetof(Page, calls) == 512);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace leakwatch::wake
