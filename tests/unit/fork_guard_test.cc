// SPDX-License-Identifier: Apache-2.0

#include "preload/fork_guard.h"

#include <atomic>
#include <thread>

#include "tests/unit/catch.h"

using leakwatch::preload::ForkGuard;

TEST_CASE("A look waits for a fork, and a fork for a look", "[fork]") {
  ForkGuard guard;
  REQUIRE(guard.begin_look());
  guard.end_look();

  guard.before_fork();
  CHECK_FALSE(guard.begin_look());  // given up after a time
  guard.after_fork_in_parent();
  REQUIRE(guard.begin_look());

  std::atomic<bool> forking{false};
  std::thread other([&] {
    guard.before_fork();  // goes on after a time even if the look never ends
    forking = true;
    guard.after_fork_in_parent();
  });
  other.join();
  CHECK(forking);
  guard.end_look();
}

TEST_CASE("Two forks at a time are both waited for", "[fork]") {
  ForkGuard guard;
  guard.before_fork();
  guard.before_fork();
  guard.after_fork_in_parent();
  CHECK_FALSE(guard.begin_look());
  guard.after_fork_in_parent();
  CHECK(guard.begin_look());
}

TEST_CASE("A child begins without a fork or a look on its way", "[fork]") {
  ForkGuard guard;
  guard.begin_look();
  guard.before_fork();
  guard.after_fork_in_child();
  CHECK(guard.begin_look());
}
