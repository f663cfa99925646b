// SPDX-License-Identifier: Apache-2.0
//
// What a program would notice of a call that is made again, call by call.
#include "cli/trace/system_call_restart.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kForEver = 0xffffffff;  // an int of -1, as it stands in a register
constexpr std::uint64_t kSomewhere = 0x7fff0000;

struct Case {
  std::int64_t call;
  std::array<std::uint64_t, 6> arguments;
  RestartEffect effect;
};

TEST_CASE("the effect of making a call again") {
  const Case cases[] = {
      {SYS_read, {3, kSomewhere, 1}, RestartEffect::kNone},
      {SYS_futex, {kSomewhere, FUTEX_WAIT_PRIVATE, 0, 0}, RestartEffect::kNone},
      {SYS_futex, {kSomewhere, FUTEX_WAIT_PRIVATE, 0, kSomewhere}, RestartEffect::kProlonged},
      {SYS_futex, {kSomewhere, FUTEX_WAIT_BITSET_PRIVATE, 0, kSomewhere}, RestartEffect::kNone},
      {SYS_futex, {kSomewhere, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, kSomewhere}, RestartEffect::kNone},
      {SYS_futex, {kSomewhere, FUTEX_LOCK_PI, 0, kSomewhere}, RestartEffect::kNone},
      {SYS_epoll_wait, {3, kSomewhere, 1, kForEver}, RestartEffect::kNoneIfRepaired},
      {SYS_epoll_wait, {3, kSomewhere, 1, 1000}, RestartEffect::kBriefly},
      {SYS_epoll_wait, {3, kSomewhere, 1, 1001}, RestartEffect::kProlonged},
      {SYS_epoll_pwait, {3, kSomewhere, 1, kForEver}, RestartEffect::kNoneIfRepaired},
      {SYS_poll, {kSomewhere, 1, kForEver}, RestartEffect::kNone},
      {SYS_poll, {kSomewhere, 1, 0}, RestartEffect::kBriefly},
      {SYS_poll, {kSomewhere, 1, 60000}, RestartEffect::kProlonged},
      {SYS_ppoll, {kSomewhere, 1, kSomewhere}, RestartEffect::kNone},
      {SYS_rt_sigtimedwait, {kSomewhere, 0, 0, 8}, RestartEffect::kNoneIfRepaired},
      {SYS_rt_sigtimedwait, {kSomewhere, 0, kSomewhere, 8}, RestartEffect::kProlonged},
      {SYS_io_getevents, {1, 1, 1, kSomewhere, 0}, RestartEffect::kNoneIfRepaired},
      {SYS_io_getevents, {1, 1, 1, kSomewhere, kSomewhere}, RestartEffect::kProlonged},
      {SYS_nanosleep, {kSomewhere, 0}, RestartEffect::kProlonged},
      {SYS_clock_nanosleep, {CLOCK_MONOTONIC, 0, kSomewhere}, RestartEffect::kProlonged},
      {SYS_clock_nanosleep, {CLOCK_MONOTONIC, TIMER_ABSTIME, kSomewhere}, RestartEffect::kNone},
      {SYS_restart_syscall, {}, RestartEffect::kProlonged},
      {SYS_mmap, {}, RestartEffect::kUnknown},
      {-1, {}, RestartEffect::kUnknown},
  };
  for (const Case& each : cases) {
    INFO(each.call << ' ' << each.arguments[1] << ' ' << each.arguments[2] << ' ' << each.arguments[3]);
    CHECK(restart_effect(each.call, each.arguments) == each.effect);
  }
}

TEST_CASE("a wait for events is no wait for a lock") {
  for (const int call : {SYS_epoll_wait, SYS_poll, SYS_accept4, SYS_rt_sigtimedwait, SYS_wait4}) {
    CHECK(waits_for_events(call));
  }
  for (const int call : {SYS_futex, SYS_mmap, SYS_read, SYS_nanosleep, SYS_restart_syscall}) {
    CHECK_FALSE(waits_for_events(call));
  }
}

}  // namespace
}  // namespace leakwatch
