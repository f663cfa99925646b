// SPDX-License-Identifier: Apache-2.0
//
// The list of threads, line for line.
#include "cli/report/thread_listing.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

// Each address is a line of one file; hundreds are functions. 0x5000 and above has no symbols.
SymbolLookup symbols() {
  static std::map<std::uint64_t, std::vector<Frame>> frames;
  return {[](const Module& module, std::uint64_t address) -> const std::vector<Frame>& {
            const std::string name = address < 5000 ? "f" + std::to_string(address / 100) + "(int)" : "server+0x1388";
            const std::string file = address < 5000 ? "/src/pool.cc" : "";
            const int line = address < 5000 ? static_cast<int>(address) : 0;
            const Frame frame{name, name, file, line, 0};
            return frames.try_emplace(address + module.bias, std::vector<Frame>{frame}).first->second;
          },
          [](const Module&) {
            return SymbolSource{true, true};
          }};
}

ThreadFacts facts() {
  ThreadFacts facts;
  facts.start_routine = {700, 0};
  facts.age_ns = 65'250'000'000;
  facts.stack_bytes = 8 << 20;
  facts.guard_bytes = 4096;
  facts.stack_resident_bytes = 12 << 10;
  return facts;
}

LiveThread waiting(std::uint32_t tid, const std::string& name) {
  LiveThread thread;
  thread.tid = tid;
  thread.name = name;
  thread.state = "read";
  thread.waits_on = "pipe";
  thread.wait_channel = "pipe_read";
  thread.waiting_ns = 1'500'000'000;
  thread.stack = 1;
  thread.creator = 0;
  thread.is_placed = true;
  thread.facts = facts();
  return thread;
}

ThreadSnapshot server() {
  ThreadSnapshot snapshot;
  snapshot.time_ns = 1'700'000'000'000'000'000;
  snapshot.command = "./server --port 80";
  snapshot.modules = {{"/opt/app/server", "aa", 0, {}}};
  snapshot.stacks = {{{910, 0}}, {{110, 0}, {5000, 0}}, {{kMainThreadMark, CodeAddress::kMarkFrame}}};
  snapshot.threads = {waiting(501, "worker-1")};
  return snapshot;
}

std::vector<std::string> lines_of(const ThreadSnapshot& snapshot) {
  std::istringstream text(thread_listing(snapshot, symbols()));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

constexpr std::size_t kFirstRow = 3;  // after the head, a blank line, and the names of the columns

std::string row_of(const LiveThread& thread) {
  ThreadSnapshot snapshot = server();
  snapshot.threads = {thread};
  return lines_of(snapshot).at(kFirstRow);
}

TEST_CASE("a thread is a line, and the stacks that it refers to are below") {
  CHECK(thread_listing(server(), symbols()) ==
        "1 thread of ./server --port 80, 2023-11-14 22:13:20 UTC\n"
        "\n"
        "     tid    waits s       age s  stack KiB  resident KiB  guard KiB      at  made by  name             state"
        "             started in                remarks\n"
        "     501       1.50       65.25       8192            12          4      #1       #2  worker-1         read"
        "              f7                        on: pipe; in the kernel: pipe_read\n"
        "\n"
        "#1  1 thread here\n"
        "    f1(int)  /src/pool.cc:110\n"
        "    server+0x1388\n"
        "\n"
        "#2  made 1 thread\n"
        "    f9(int)  /src/pool.cc:910\n");
}

TEST_CASE("what is not known is a dash") {
  LiveThread thread;
  thread.tid = 500;
  thread.creator = thread.stack = 2;
  CHECK(row_of(thread) ==
        "     500          -           -          -             -          -       -       #1  -                -"
        "                 -");
}

TEST_CASE("why a stack is missing is remarked") {
  LiveThread thread = waiting(501, "w");
  thread.waits_on.clear();
  thread.wait_channel.clear();
  thread.is_placed = false;
  thread.stack_note = "looking into the process is not permitted";
  CHECK(row_of(thread).ends_with("  stack: looking into the process is not permitted"));
}

TEST_CASE("equal stacks are one, with the number of threads that are there or were made there") {
  ThreadSnapshot snapshot = server();
  snapshot.stacks.push_back(snapshot.stacks[1]);
  snapshot.stacks.push_back({});
  for (const std::uint32_t tid : {502U, 503U}) {
    snapshot.threads.push_back(waiting(tid, "w"));
    snapshot.threads.back().stack = 3;
  }
  snapshot.threads.back().creator = 4;
  const std::string text = thread_listing(snapshot, symbols());
  CHECK(text.find("#1  3 threads here\n    f1(int)") != std::string::npos);
  CHECK(text.find("#2  made 2 threads\n    f9(int)") != std::string::npos);
  CHECK(text.find("#3  made 1 thread\n    [leakwatch: stack not recorded]\n") != std::string::npos);
  CHECK(text.find("#4") == std::string::npos);
}

TEST_CASE("a stack where some are and others were made says both") {
  ThreadSnapshot snapshot = server();
  snapshot.threads[0].stack = 0;
  CHECK(thread_listing(snapshot, symbols()).find("#1  1 thread here  made 1 thread\n") != std::string::npos);
}

TEST_CASE("ended threads that nobody joined are listed apart, with what they hold") {
  ThreadSnapshot snapshot = server();
  snapshot.unjoined = {{777, 0, facts()}};
  const auto lines = lines_of(snapshot);
  CHECK(lines[0].ends_with(" UTC; 1 more ended and were never joined"));
  const auto title = std::find(lines.begin(), lines.end(), "Ended and never joined");
  REQUIRE(lines.end() - title > 2);
  CHECK(title[2] ==
        "     777          -       65.25       8192            12          4       -       #2  -                ended"
        "             f7");
}

TEST_CASE("notes come first, and no name steers the terminal") {
  ThreadSnapshot snapshot = server();
  snapshot.notes = {"it cannot be looked into"};
  snapshot.command = "a\x1b[2Jb";
  snapshot.threads = {waiting(501, "x\ny\x1b")};
  const auto lines = lines_of(snapshot);
  CHECK(lines[0].starts_with("1 thread of a?[2Jb, "));
  CHECK(lines[1] == "it cannot be looked into");
  CHECK(lines[kFirstRow + 1].find("  x?y?  ") != std::string::npos);
}

TEST_CASE("more threads than anybody reads are only counted") {
  ThreadSnapshot snapshot = server();
  snapshot.threads.assign(kMostThreadsListed + 7, waiting(501, "w"));
  snapshot.unjoined.assign(kMostThreadsListed + 1, {777, 0, facts()});
  const std::string text = thread_listing(snapshot, symbols());
  CHECK(text.starts_with("10,007 threads of "));
  CHECK(text.find("\nand 7 more, which are not listed\n") != std::string::npos);
  CHECK(text.find("\nand 1 more, which are not listed\n") != std::string::npos);
  CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) < 2 * kMostThreadsListed + 30);
}

}  // namespace
}  // namespace leakwatch
