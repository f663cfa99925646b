// SPDX-License-Identifier: Apache-2.0
//
// See the header. Which calls come back with EINTR after a stop, and which go on by themselves: signal(7),
// "Interruption of system calls and library functions by stop signals", and the kernel's -ERESTART codes.

#include "cli/trace/system_call_restart.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441  // Linux 5.11
#endif

namespace leakwatch {

namespace {

constexpr int kBriefMilliseconds = 1000;

RestartEffect effect_of_milliseconds(std::uint64_t argument, RestartEffect without) {
  const int milliseconds = static_cast<int>(argument);
  if (milliseconds < 0) return without;
  return milliseconds <= kBriefMilliseconds ? RestartEffect::kBriefly : RestartEffect::kProlonged;
}

RestartEffect effect_of_pointer(std::uint64_t argument, RestartEffect without) {
  return argument == 0 ? without : RestartEffect::kProlonged;
}

// Only the plain wait has a relative time; the others name the moment at which they end.
RestartEffect effect_of_futex(const std::array<std::uint64_t, 6>& arguments) {
  const int operation = static_cast<int>(arguments[1]) & FUTEX_CMD_MASK;
  return operation == FUTEX_WAIT ? effect_of_pointer(arguments[3], RestartEffect::kNone) : RestartEffect::kNone;
}

}  // namespace

RestartEffect restart_effect(std::int64_t call, const std::array<std::uint64_t, 6>& arguments) {
  switch (call) {
    case SYS_futex:
      return effect_of_futex(arguments);
    // A socket with a time-out of its own comes back with EINTR too, but is seldom slept on so.
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_rt_sigsuspend:
    case SYS_flock:
    case SYS_msgrcv:
    case SYS_mq_timedreceive:  // names the moment at which it ends
    case SYS_pselect6:         // these two write the time that is left to where they have it from
    case SYS_ppoll:
#if defined(__x86_64__)
    case SYS_pause:
    case SYS_select:  // like them
#endif
      return RestartEffect::kNone;
#if defined(__x86_64__)
    case SYS_poll:
      return effect_of_milliseconds(arguments[2], RestartEffect::kNone);
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
      return effect_of_milliseconds(arguments[3], RestartEffect::kNoneIfRepaired);
    case SYS_epoll_pwait2:
      return effect_of_pointer(arguments[3], RestartEffect::kNoneIfRepaired);
    case SYS_rt_sigtimedwait:
      return effect_of_pointer(arguments[2], RestartEffect::kNoneIfRepaired);
    case SYS_io_getevents:
      return effect_of_pointer(arguments[4], RestartEffect::kNoneIfRepaired);
    case SYS_semop:
      return RestartEffect::kNoneIfRepaired;
    case SYS_nanosleep:
    case SYS_restart_syscall:  // one of those which have a relative time
      return RestartEffect::kProlonged;
    case SYS_clock_nanosleep:
      return (arguments[1] & TIMER_ABSTIME) != 0 ? RestartEffect::kNone : RestartEffect::kProlonged;
    default:
      return RestartEffect::kUnknown;
  }
}

bool can_be_taken_up(std::int64_t call) {
#if defined(__x86_64__)
  if (call == SYS_poll) return true;
#endif
  return call == SYS_nanosleep || call == SYS_clock_nanosleep || call == SYS_futex;
}

bool waits_for_events(std::int64_t call) {
  switch (call) {
    case SYS_accept:
    case SYS_accept4:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_rt_sigsuspend:
    case SYS_rt_sigtimedwait:
    case SYS_pselect6:
    case SYS_ppoll:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
    case SYS_io_getevents:
#if defined(__x86_64__)
    case SYS_pause:
    case SYS_select:
    case SYS_poll:
    case SYS_epoll_wait:
#endif
      return true;
    default:
      return false;
  }
}

}  // namespace leakwatch
