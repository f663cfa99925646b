// SPDX-License-Identifier: Apache-2.0
//
// What is said of threads on the terminal, word for word.
#include "cli/thread_report.h"

#include <map>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

// Each address is a line of one file; hundreds are functions.
SymbolLookup symbols() {
  static std::map<std::uint64_t, std::vector<Frame>> frames;
  return {[](const Module&, std::uint64_t address) -> const std::vector<Frame>& {
            const std::string name = "f" + std::to_string(address / 100) + "(int)";
            const Frame frame{name, name, "/src/pool.cc", static_cast<int>(address), 0};
            return frames.try_emplace(address, std::vector<Frame>{frame}).first->second;
          },
          [](const Module&) {
            return SymbolSource{true, true};
          }};
}

class Threads {
 public:
  Threads() { snapshot_.modules = {{"/opt/app/server", "aa", 0, {}}}; }

  // place 0: it could not be looked at
  Threads& add(int number, std::uint64_t place, std::uint64_t creator, const std::string& state = "futex wait") {
    for (int i = 0; i < number; ++i) {
      LiveThread thread;
      thread.state = state;
      thread.creator = stack(creator);
      thread.is_placed = place != 0;
      thread.stack = thread.is_placed ? stack(place) : thread.creator;
      snapshot_.threads.push_back(thread);
    }
    return *this;
  }
  Threads& count(std::uint64_t creator, ThreadCounters counters) {
    snapshot_.creators.push_back({stack(creator), counters});
    return *this;
  }
  operator const ThreadSnapshot&() const { return snapshot_; }  // NOLINT(google-explicit-constructor): only brevity

 private:
  std::uint32_t stack(std::uint64_t address) {
    snapshot_.stacks.push_back({{address, 0}});
    return static_cast<std::uint32_t>(snapshot_.stacks.size() - 1);
  }
  ThreadSnapshot snapshot_;
};

std::string report(const ThreadSnapshot& first, const ThreadSnapshot& last) {
  return thread_report(first, last, symbols(), "since the first profile");
}

TEST_CASE("groups that grew are named by place and creator, the fastest first") {
  CHECK(report(Threads().add(1, 110, 910), Threads().add(3, 110, 910).add(5, 220, 910, "epoll wait")) ==
        "Threads that came since the first profile:\n"
        "5 threads [epoll wait] at f2 pool.cc:220, created by f9 pool.cc:910 (+5)\n"
        "3 threads [futex wait] at f1 pool.cc:110, created by f9 pool.cc:910 (+2)\n");
}

TEST_CASE("one thread is one, and one without a place has none") {
  CHECK(report(Threads(), Threads().add(1, 0, 910, "")) ==
        "Threads that came since the first profile:\n1 thread, created by f9 pool.cc:910 (+1)\n");
}

TEST_CASE("there is nothing to say of groups that stayed or shrank") {
  CHECK(report(Threads().add(2, 110, 910).add(3, 220, 910), Threads().add(2, 110, 910).add(1, 220, 910)).empty());
  CHECK(report(Threads(), Threads()).empty());
}

TEST_CASE("threads of one place made at two are two groups") {
  const auto groups = grown_groups(Threads(), Threads().add(1, 110, 910).add(2, 110, 820), symbols(), 5);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].creator == "f8 pool.cc:820");
  CHECK(groups[0].grown == 2);
  CHECK(groups[1].creator == "f9 pool.cc:910");
  CHECK(groups[1].now == 1);
}

TEST_CASE("no more groups than asked for") {
  Threads many;
  for (int i = 1; i <= 9; ++i) many.add(i, static_cast<std::uint64_t>(100 * i), 5000);
  const auto groups = grown_groups(Threads(), many, symbols(), 3);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].grown == 9);
  CHECK(groups[2].grown == 7);
}

TEST_CASE("threads that nobody joined are told with what they hold and who made them") {
  CHECK(report(Threads(), Threads().count(910, {5, 0, 2, 16 << 20}).count(820, {1, 1, 0, 8 << 20})) ==
        "2 threads ended and never joined, holding 16.0 MiB of stack, created by f9 pool.cc:910\n");
  CHECK(report(Threads(), Threads().count(910, {1, 0, 1, 8 << 20})) ==
        "1 thread ended and never joined, holding 8.00 MiB of stack, created by f9 pool.cc:910\n");
}

TEST_CASE("running threads of the same creator have their share of the stacks") {
  CHECK(report(Threads(), Threads().count(910, {4, 3, 1, 32 << 20})) ==
        "1 thread ended and never joined, holding 8.00 MiB of stack, created by f9 pool.cc:910\n");
}

TEST_CASE("stacks of one creating place are one sentence") {
  CHECK(report(Threads(), Threads().count(910, {1, 0, 1, 8 << 20}).count(910, {2, 0, 2, 16 << 20})) ==
        "3 threads ended and never joined, holding 24.0 MiB of stack, created by f9 pool.cc:910\n");
}

}  // namespace
}  // namespace leakwatch
