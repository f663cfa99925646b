// SPDX-License-Identifier: Apache-2.0

#include "cli/session/shared_look.h"

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using namespace std::chrono_literals;

TEST_CASE("A look that began before the question is no answer to it") {
  SharedLook<int> look(0ms);
  std::atomic<int> looks{0};
  std::latch under_way(1), go_on(1);
  std::thread first([&] {
    look.take([&] {
      const int number = ++looks;
      under_way.count_down();
      go_on.wait();
      return number;
    });
  });
  under_way.wait();
  std::atomic<int> got{0};
  std::thread second([&] { got = look.take([&] { return ++looks; }); });
  go_on.count_down();
  first.join();
  second.join();
  CHECK(got == 2);
}

TEST_CASE("Many who ask at once share few looks, and each gets one that began after it asked") {
  SharedLook<int> look(20ms);
  std::atomic<int> looks{0};
  std::atomic<bool> in_time{true};
  std::vector<std::thread> callers;
  for (int i = 0; i < 64; ++i) {
    callers.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        const int before = looks;
        if (look.take([&] { return ++looks; }) <= before) in_time = false;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(in_time);
  CHECK(looks < 64);
}

TEST_CASE("Looks keep their distance") {
  SharedLook<int> look(30ms);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 4; ++i) look.take([] { return 0; });
  CHECK(std::chrono::steady_clock::now() - begin >= 90ms);
}

TEST_CASE("An exception is for the one who looked, and the next one looks again") {
  SharedLook<int> look(0ms);
  CHECK_THROWS_AS(look.take([]() -> int { throw std::runtime_error("no"); }), std::runtime_error);
  CHECK(look.take([] { return 7; }) == 7);
}

}  // namespace
}  // namespace leakwatch
