// SPDX-License-Identifier: Apache-2.0
//
// What is said of threads on the terminal, word for word.
#include "cli/report/thread_report.h"

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
  Threads& unjoined(int number, std::uint64_t creator, std::int64_t stack_bytes, std::int64_t resident_bytes = 0) {
    for (int i = 0; i < number; ++i) {
      UnjoinedThread thread;
      thread.creator = stack(creator);
      thread.facts.stack_bytes = stack_bytes;
      thread.facts.stack_resident_bytes = resident_bytes;
      snapshot_.unjoined.push_back(thread);
    }
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
  CHECK(report(Threads(), Threads().unjoined(2, 910, 8 << 20).unjoined(0, 820, 8 << 20)) ==
        "2 threads ended and never joined, holding 16.0 MiB of stack, created by f9 pool.cc:910\n");
  CHECK(report(Threads(), Threads().unjoined(1, 910, 8 << 20)) ==
        "1 thread ended and never joined, holding 8.00 MiB of stack, created by f9 pool.cc:910\n");
}

TEST_CASE("what of the stacks is in memory is told where it is known") {
  CHECK(report(Threads(), Threads().unjoined(3, 910, 8 << 20, 8 << 10)) ==
        "3 threads ended and never joined, holding 24.0 MiB of stack (24.0 KiB resident), created by f9 pool.cc:910\n");
}

TEST_CASE("stacks of one creating place are one sentence, those of two are two") {
  CHECK(report(Threads(), Threads().unjoined(1, 910, 8 << 20).unjoined(2, 910, 4 << 20).unjoined(1, 820, 1 << 20)) ==
        "1 thread ended and never joined, holding 1.00 MiB of stack, created by f8 pool.cc:820\n"
        "3 threads ended and never joined, holding 16.0 MiB of stack, created by f9 pool.cc:910\n");
}

}  // namespace
}  // namespace leakwatch
