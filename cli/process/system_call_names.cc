// SPDX-License-Identifier: Apache-2.0
//
// See the header. Only calls in which threads are found asleep are here; those younger than the oldest kernel headers
// that we build with stand behind a test for their number.

#include "cli/process/system_call_names.h"

#include <sys/syscall.h>

#include <algorithm>
#include <iterator>

namespace leakwatch {

namespace {

struct Entry {
  std::int64_t number;
  SystemCallWords words;
};

constexpr bool kDescriptor = true;

constexpr Entry kCalls[] = {
    {SYS_read, {"read", kDescriptor}},
    {SYS_readv, {"read", kDescriptor}},
    {SYS_pread64, {"read", kDescriptor}},
    {SYS_preadv, {"read", kDescriptor}},
    {SYS_preadv2, {"read", kDescriptor}},
    {SYS_write, {"write", kDescriptor}},
    {SYS_writev, {"write", kDescriptor}},
    {SYS_pwrite64, {"write", kDescriptor}},
    {SYS_pwritev, {"write", kDescriptor}},
    {SYS_pwritev2, {"write", kDescriptor}},
    {SYS_recvfrom, {"recv", kDescriptor}},
    {SYS_recvmsg, {"recv", kDescriptor}},
    {SYS_recvmmsg, {"recv", kDescriptor}},
    {SYS_sendto, {"send", kDescriptor}},
    {SYS_sendmsg, {"send", kDescriptor}},
    {SYS_sendmmsg, {"send", kDescriptor}},
    {SYS_sendfile, {"sendfile", kDescriptor}},
    {SYS_splice, {"splice", kDescriptor}},
    {SYS_accept4, {"accept", kDescriptor}},
    {SYS_connect, {"connect", kDescriptor}},
    {SYS_close, {"close", kDescriptor}},
    {SYS_ioctl, {"ioctl", kDescriptor}},
    {SYS_fcntl, {"file lock wait", kDescriptor}},
    {SYS_flock, {"file lock wait", kDescriptor}},
    {SYS_fsync, {"fsync", kDescriptor}},
    {SYS_fdatasync, {"fsync", kDescriptor}},
    {SYS_sync_file_range, {"fsync", kDescriptor}},
    {SYS_syncfs, {"fsync", kDescriptor}},
    {SYS_getdents64, {"read directory", kDescriptor}},
    {SYS_epoll_pwait, {"epoll wait"}},
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, {"epoll wait"}},
#endif
    {SYS_io_getevents, {"aio wait"}},
#ifdef SYS_io_pgetevents
    {SYS_io_pgetevents, {"aio wait"}},
#endif
#ifdef SYS_io_uring_enter
    {SYS_io_uring_enter, {"io_uring wait"}},
#endif
    {SYS_futex, {"futex wait"}},
#ifdef SYS_futex_waitv
    {SYS_futex_waitv, {"futex wait"}},
#endif
    {SYS_ppoll, {"poll"}},
    {SYS_pselect6, {"select"}},
    {SYS_nanosleep, {"sleep"}},
    {SYS_clock_nanosleep, {"sleep"}},
    {SYS_rt_sigtimedwait, {"signal wait"}},
    {SYS_rt_sigsuspend, {"signal wait"}},
    {SYS_wait4, {"wait for child"}},
    {SYS_waitid, {"wait for child"}},
    {SYS_semtimedop, {"semaphore wait"}},
    {SYS_semop, {"semaphore wait"}},
    {SYS_msgrcv, {"message queue receive"}},
    {SYS_msgsnd, {"message queue send"}},
    {SYS_mq_timedreceive, {"message queue receive"}},
    {SYS_mq_timedsend, {"message queue send"}},
    {SYS_openat, {"open"}},
    {SYS_mmap, {"mmap"}},
    {SYS_munmap, {"munmap"}},
    {SYS_mprotect, {"mprotect"}},
    {SYS_madvise, {"madvise"}},
    {SYS_msync, {"msync"}},
    {SYS_membarrier, {"membarrier"}},
    {SYS_unlinkat, {"unlink"}},
    {SYS_renameat2, {"rename"}},
    {SYS_execve, {"exec"}},
    {SYS_clone, {"clone"}},
#ifdef SYS_clone3
    {SYS_clone3, {"clone"}},
#endif
    {SYS_exit, {"exit"}},
    {SYS_exit_group, {"exit"}},
    {SYS_restart_syscall, {"sleep", false, true}},
// The calls that younger architectures are without.
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, {"epoll wait"}},
    {SYS_poll, {"poll"}},
    {SYS_select, {"select"}},
    {SYS_pause, {"signal wait"}},
    {SYS_accept, {"accept", kDescriptor}},
    {SYS_open, {"open"}},
    {SYS_unlink, {"unlink"}},
    {SYS_rename, {"rename"}},
    {SYS_vfork, {"vfork wait"}},
    {SYS_fork, {"fork"}},
#endif
};

struct Channel {
  std::string_view part;  // of the kernel function's name
  std::string_view words;
};

// What nanosleep, poll and futex leave behind when something interrupts them: the kernel makes the rest of the wait
// under the name restart_syscall. All of nanosleep's functions count as the scheduler's, so no channel tells of it.
constexpr Channel kChannels[] = {{"futex", "futex wait"}, {"ep_poll", "epoll wait"}, {"poll", "poll"}};

}  // namespace

SystemCallWords describe_system_call(std::int64_t number) {
  const auto* const found =
      std::find_if(std::begin(kCalls), std::end(kCalls), [=](const Entry& entry) { return entry.number == number; });
  return found == std::end(kCalls) ? SystemCallWords{} : found->words;
}

std::string_view describe_wait_channel(std::string_view channel) {
  for (const Channel& known : kChannels) {
    if (channel.find(known.part) != std::string_view::npos) return known.words;
  }
  return {};
}

}  // namespace leakwatch
