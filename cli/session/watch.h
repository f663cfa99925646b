// SPDX-License-Identifier: Apache-2.0
//
// The program that is being watched now, for everybody who wants to know something of it: the loop of `run`, and
// sinks that are asked.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/base/errand_thread.h"
#include "cli/session/profile_source.h"
#include "cli/session/session.h"
#include "cli/session/shared_look.h"
#include "symbolize/symbol_service.h"

namespace leakwatch {

class Watch : public ProfileSource {
 public:
  explicit Watch(std::vector<std::string> command) : command_(std::move(command)) {}

  // The process called: for the first time, or after it has executed another program.
  void begin(std::shared_ptr<Session> session, const std::shared_ptr<SymbolService>& symbols);

  Moment<HeapSnapshot> heap() override;
  Moment<ThreadSnapshot> threads() override;
  LiveTotals totals() override;
  std::vector<std::string> command() const override { return command_; }

 private:
  struct Current {
    std::shared_ptr<Session> session;  // null: it has not called yet
    SymbolLookup symbols;
    std::uint64_t program = 0;
  };
  Current current() const;

  const std::vector<std::string> command_;
  // Those who ask over HTTP have a low priority, and looks none of their own: the draining waits for a copy of the
  // counters, and everybody for a look at the threads.
  ErrandThread counter_looks_{"look-counters"}, thread_looks_{"look-threads"};
  mutable std::mutex mutex_;
  Current current_;
  // A copy of the counters pauses the draining, a look at the threads may stop some: so far apart at least.
  SharedLook<Moment<HeapSnapshot>> heap_{std::chrono::milliseconds(50)};
  SharedLook<Moment<ThreadSnapshot>> threads_{std::chrono::milliseconds(200)};
  SharedLook<LiveTotals> totals_{std::chrono::milliseconds(50)};
};

}  // namespace leakwatch
