// SPDX-License-Identifier: Apache-2.0
#include "cli/base/urgency.h"

#include <thread>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

int niceness() {
  return getpriority(PRIO_PROCESS, 0);
}

bool may_hurry() {
  const int before = niceness();
  const bool is_permitted = setpriority(PRIO_PROCESS, 0, before - 1) == 0;
  setpriority(PRIO_PROCESS, 0, before);
  return is_permitted;
}

// On a thread of its own: where haste is not permitted, a lower priority is for good.
template <typename Body>
void on_a_thread(Body body) {
  std::thread(body).join();
}

TEST_CASE("haste is had where it is permitted, and ends") {
  on_a_thread([] {
    const bool is_permitted = may_hurry();
    setpriority(PRIO_PROCESS, 0, 10);
    {
      const Haste haste;
      CHECK(niceness() == (is_permitted ? -10 : 10));
    }
    CHECK(niceness() == 10);
  });
}

TEST_CASE("haste slows nobody who was faster") {
  on_a_thread([] {
    if (!may_hurry()) return;
    setpriority(PRIO_PROCESS, 0, -20);
    const Haste haste;
    CHECK(niceness() == -20);
  });
}

TEST_CASE("urgency ends") {
  on_a_thread([] {
    const int before = sched_getscheduler(0);
    {
      const Urgency urgency;
      const int during = sched_getscheduler(0);
      CHECK((during == before || during == SCHED_FIFO));
    }
    CHECK(sched_getscheduler(0) == before);
  });
}

}  // namespace
}  // namespace leakwatch
