// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/session/watch.h"

#include <utility>

namespace leakwatch {

namespace {

SymbolLookup symbol_lookup(const std::shared_ptr<SymbolService>& symbols) {
  return {[symbols](const Module& module, std::uint64_t address) -> const std::vector<Frame>& {
            return symbols->frames(module, address);
          },
          [symbols](const Module& module) { return symbols->source(module); }};
}

}  // namespace

void Watch::begin(std::shared_ptr<Session> session, const std::shared_ptr<SymbolService>& symbols) {
  const std::lock_guard lock(mutex_);
  current_ = {std::move(session), symbol_lookup(symbols), current_.program + 1};
}

Watch::Current Watch::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

Moment<HeapSnapshot> Watch::heap() {
  return heap_.take([this]() -> Moment<HeapSnapshot> {
    Current now = current();
    if (!now.session) return {};
    HeapSnapshot snapshot = counter_looks_.run([&now] { return now.session->snapshot(); });
    return {std::make_shared<const HeapSnapshot>(std::move(snapshot)), std::move(now.symbols), now.program};
  });
}

Moment<ThreadSnapshot> Watch::threads() {
  return threads_.take([this]() -> Moment<ThreadSnapshot> {
    Current now = current();
    if (!now.session) return {};
    ThreadSnapshot snapshot = thread_looks_.run([&now] { return now.session->thread_snapshot(); });
    return {std::make_shared<const ThreadSnapshot>(std::move(snapshot)), std::move(now.symbols), now.program};
  });
}

LiveTotals Watch::totals() {
  return totals_.take([this]() -> LiveTotals {
    const Current now = current();
    if (!now.session) return {};
    LiveTotals totals = counter_looks_.run([&now] { return now.session->totals(); });
    totals.program = now.program;
    return totals;
  });
}

}  // namespace leakwatch
