// SPDX-License-Identifier: Apache-2.0
//
// A watched program whose figures the test sets, and a clock that the test moves.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/session/profile_source.h"

namespace leakwatch {

class FakeProgram : public ProfileSource {
 public:
  using Clock = std::chrono::steady_clock;

  std::uint64_t program = 1;                                       // 0: it has not called back yet
  std::uint64_t program_of_looks = 0;                              // 0: the same
  std::map<std::uint64_t, std::int64_t> live;                      // bytes by address; a block has 10
  std::int64_t allocated = 0;                                      // bytes
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> waiting;  // threads by place and creator
  std::uint64_t resident = 1 << 20;
  std::vector<std::string> notes;
  int heap_looks = 0, thread_looks = 0;
  std::chrono::milliseconds look_takes{0};

  std::function<Clock::time_point()> clock() {
    return [this] { return now_; };
  }
  void pass(std::chrono::milliseconds time) { now_ += time; }

  Moment<HeapSnapshot> heap() override {
    ++heap_looks;
    pass(look_takes);
    if (program == 0) return {};
    auto heap = std::make_shared<HeapSnapshot>();
    heap->modules = modules();
    for (const auto& [address, bytes] : live) {
      heap->samples.push_back({static_cast<std::uint32_t>(heap->stacks.size()), 16, counters(bytes)});
      heap->stacks.push_back({{address, 0}});
    }
    return {heap, symbols(), program_of_looks == 0 ? program : program_of_looks};
  }

  Moment<ThreadSnapshot> threads() override {
    ++thread_looks;
    pass(look_takes);
    if (program == 0) return {};
    auto threads = std::make_shared<ThreadSnapshot>();
    threads->modules = modules();
    threads->notes = notes;
    for (const auto& [where, number] : waiting) {
      LiveThread thread;
      thread.state = "futex wait";
      thread.stack = static_cast<std::uint32_t>(threads->stacks.size());
      thread.creator = thread.stack + 1;
      thread.is_placed = true;
      threads->stacks.push_back({{where.first, 0}});
      threads->stacks.push_back({{where.second, 0}});
      threads->threads.insert(threads->threads.end(), static_cast<std::size_t>(number), thread);
    }
    return {threads, symbols(), program_of_looks == 0 ? program : program_of_looks};
  }

  LiveTotals totals() override {
    LiveTotals totals;
    totals.program = program;
    if (program == 0) return totals;
    totals.time_ns = 1'700'000'000'000'000'000;
    for (const auto& [address, bytes] : live) totals.heap += counters(bytes);
    totals.heap.alloc_space = allocated;
    totals.resident_bytes = resident;
    for (const auto& [where, number] : waiting) totals.kernel_threads += static_cast<std::uint64_t>(number);
    totals.sites = live.size();
    return totals;
  }

  std::vector<std::string> command() const override { return {"/srv/app", "--port", "80"}; }

 private:
  static HeapCounters counters(std::int64_t bytes) { return {bytes / 10, bytes, bytes / 10, bytes}; }
  static std::vector<Module> modules() { return {{"/srv/app", "", 0, {}}}; }

  // Each address is a line of one file; hundreds are functions: 110 is "f1(int)" in a.cc:110.
  static SymbolLookup symbols() {
    static std::map<std::uint64_t, std::vector<Frame>> frames;
    return {[](const Module&, std::uint64_t address) -> const std::vector<Frame>& {
              const std::string name = "f" + std::to_string(address / 100) + "(int)";
              const Frame frame{name, name, "/src/a.cc", static_cast<int>(address), 0};
              return frames.try_emplace(address, std::vector<Frame>{frame}).first->second;
            },
            [](const Module&) {
              return SymbolSource{true, true};
            }};
  }

  Clock::time_point now_ = Clock::time_point(std::chrono::hours(1));
};

}  // namespace leakwatch
