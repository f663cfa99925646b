// SPDX-License-Identifier: Apache-2.0
#include "cli/base/errand_thread.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

int niceness() {
  return getpriority(PRIO_PROCESS, 0);  // on Linux the calling thread's own
}

TEST_CASE("an errand is done with the priority of whoever made the thread, not of whoever asks") {
  ErrandThread errands("errands");
  const int before = niceness();
  std::thread([&] {
    setpriority(PRIO_PROCESS, 0, before + 3);
    CHECK(errands.run([] { return niceness(); }) == before);
    CHECK(niceness() == before + 3);
  }).join();
}

TEST_CASE("errands of many are done one at a time, and each gets his own result") {
  ErrandThread errands("errands");
  int running = 0, most = 0;
  std::vector<std::thread> askers;
  askers.reserve(8);
  std::atomic<int> wrong = 0;
  for (int asker = 0; asker < 8; ++asker) {
    askers.emplace_back([&, asker] {
      for (int i = 0; i < 200; ++i) {
        const int result = errands.run([&] {
          most = std::max(most, ++running);
          --running;
          return asker * 1000 + i;
        });
        wrong += result != asker * 1000 + i ? 1 : 0;
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  CHECK(wrong == 0);
  CHECK(most == 1);
}

TEST_CASE("what an errand throws reaches whoever asked, and the next one is done") {
  ErrandThread errands("errands");
  CHECK_THROWS_AS(errands.run([]() -> int { throw std::runtime_error("no"); }), std::runtime_error);
  CHECK(errands.run([] { return 7; }) == 7);
}

}  // namespace
}  // namespace leakwatch
