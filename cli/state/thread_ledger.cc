// SPDX-License-Identifier: Apache-2.0
//
// See the header. Handles are used again, so a join or detach carries the time at which the call began: of the threads
// that ever had the handle it means the one that existed then.

#include "cli/state/thread_ledger.h"

#include <algorithm>

namespace leakwatch {

namespace {

constexpr std::uint64_t kLargestStack = std::uint64_t{1} << 40;  // so that sums of overwritten memory do not overflow

}  // namespace

void ThreadLedger::apply(const Event& event) {
  switch (event.kind) {
    case shared::EventKind::kThreadCreate:
      create(event);
      break;
    case shared::EventKind::kThreadAttributes:
      describe(event);
      break;
    case shared::EventKind::kThreadNotCreated:
      forget(event.address);
      break;
    case shared::EventKind::kThreadStart:
      start(event);
      break;
    case shared::EventKind::kThreadEnd:
      end(event.address);
      break;
    case shared::EventKind::kThreadRelease:
      release(event);
      break;
    default:
      break;
  }
}

void ThreadLedger::create(const Event& event) {
  ThreadRecord record;
  record.token = event.address;
  record.start_routine = event.size;
  record.stack = event.stack;
  record.created = event.time;
  if (!records_.emplace(record.token, record).second) return;  // overwritten memory: tokens are unique
  ThreadCounters& counters = creators_[record.stack];
  ++counters.created;
  ++counters.running;
}

void ThreadLedger::describe(const Event& event) {
  const auto thread = records_.find(event.address);
  if (thread == records_.end() || thread->second.stack_bytes != 0) return;
  ThreadRecord& record = thread->second;
  record.detached = (event.size & shared::kDetachedThread) != 0;
  record.stack_bytes = std::min(event.size & ~shared::kDetachedThread, kLargestStack);
  record.guard_bytes = event.stack;
  creators_[record.stack].stack_bytes += static_cast<std::int64_t>(record.stack_bytes);
}

// The call to create it failed after all.
void ThreadLedger::forget(std::uint64_t token) {
  const auto thread = records_.find(token);
  if (thread == records_.end() || thread->second.tid != 0) return;
  --creators_[thread->second.stack].created;
  let_go(thread);
}

void ThreadLedger::start(const Event& event) {
  if (event.stack == 0) return;  // no thread's number; who had that would seem not to have started
  const auto thread = records_.find(event.address);
  if (thread == records_.end() || thread->second.tid != 0) return;
  // The handle was given out again: whoever had it before is surely gone.
  const auto [first, last] = by_handle_.equal_range(event.size);
  std::vector<std::uint64_t> gone;
  for (auto entry = first; entry != last; ++entry) {
    if (records_.at(entry->second).ended) gone.push_back(entry->second);
  }
  for (const std::uint64_t token : gone) let_go(records_.find(token));
  thread->second.handle = event.size;
  thread->second.tid = event.stack;
  by_handle_.emplace(event.size, event.address);
  if (const auto early = detached_early_.find(event.size); early != detached_early_.end()) {
    if (thread->second.created < early->second) thread->second.detached = true;
    detached_early_.erase(early);
  }
}

void ThreadLedger::end(std::uint64_t token) {
  const auto thread = records_.find(token);
  if (thread == records_.end() || thread->second.ended) return;
  if (thread->second.detached) return let_go(thread);
  thread->second.ended = true;
  ThreadCounters& counters = creators_[thread->second.stack];
  --counters.running;
  ++counters.unjoined;
}

// Joined, or detached.
void ThreadLedger::release(const Event& event) {
  const auto thread = owner_of(event.address, event.size);
  const bool joined = event.stack == static_cast<std::uint32_t>(shared::ThreadRelease::kJoined);
  if (thread == records_.end()) {
    if (!joined) detached_early_[event.address] = event.size;
    return;
  }
  if (joined || thread->second.ended) return let_go(thread);
  thread->second.detached = true;
}

void ThreadLedger::let_go(Records::iterator thread) {
  const ThreadRecord& record = thread->second;
  ThreadCounters& counters = creators_[record.stack];
  --(record.ended ? counters.unjoined : counters.running);
  counters.stack_bytes -= static_cast<std::int64_t>(record.stack_bytes);
  const auto [first, last] = by_handle_.equal_range(record.handle);
  const auto entry = std::find_if(first, last, [&](const auto& pair) { return pair.second == record.token; });
  if (entry != last) by_handle_.erase(entry);
  if (record.tid != 0) lately_gone_.push_back(record.tid);
  if (lately_gone_.size() > kMostLatelyGone) lately_gone_.pop_front();
  records_.erase(thread);
}

ThreadLedger::Records::iterator ThreadLedger::owner_of(std::uint64_t handle, std::uint64_t before) {
  const auto [first, last] = by_handle_.equal_range(handle);
  auto found = records_.end();
  for (auto entry = first; entry != last; ++entry) {
    const auto thread = records_.find(entry->second);
    if (thread->second.created < before && (found == records_.end() || found->second.created < thread->second.created))
      found = thread;
  }
  return found;
}

std::vector<ThreadRecord> ThreadLedger::threads() const {
  std::vector<ThreadRecord> result;
  result.reserve(records_.size());
  for (const auto& [token, record] : records_) result.push_back(record);
  return result;
}

ThreadCounters ThreadLedger::total() const {
  ThreadCounters sum;
  for (const auto& [stack, counters] : creators_) sum += counters;
  return sum;
}

std::vector<std::uint64_t> running_unlisted(const std::vector<ThreadRecord>& records,
                                            const std::unordered_set<std::uint32_t>& tids) {
  std::vector<std::uint64_t> unlisted;
  std::unordered_set<std::uint32_t> taken;
  for (auto record = records.rbegin(); record != records.rend(); ++record) {  // the youngest first
    if (record->tid == 0) continue;
    const bool is_youngest = taken.insert(record->tid).second;
    if (!record->ended && (!is_youngest || !tids.contains(record->tid))) unlisted.push_back(record->token);
  }
  return unlisted;
}

}  // namespace leakwatch
