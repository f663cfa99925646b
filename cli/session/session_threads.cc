// SPDX-License-Identifier: Apache-2.0
//
// What a session knows of threads: the ledger's word and the kernel's, brought together. The two speak of moments that
// differ a little. A thread tells its start after the kernel listed it and its end before the kernel drops it, and one
// that leaves by the bare system call tells nothing at all. So what either says of a thread that the other does not
// know is asked once more before it is believed.

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <set>
#include <thread>
#include <unordered_set>
#include <utility>

#include "cli/base/urgency.h"
#include "cli/process/stack_memory.h"
#include "cli/process/thread_files.h"
#include "cli/session/session.h"
#include "cli/session/thread_census.h"

namespace leakwatch {

namespace {

constexpr std::chrono::milliseconds kBetweenLooks{3};

std::unordered_set<std::uint32_t> tids_of(const std::vector<ThreadRecord>& records) {
  std::unordered_set<std::uint32_t> tids;
  for (const ThreadRecord& record : records) tids.insert(record.tid);
  return tids;
}

bool has_yet_to_begin(const ThreadRecord& record) {
  return record.tid == 0 && !record.ended;
}

}  // namespace

ThreadSnapshot Session::thread_snapshot() {
  const Haste haste;  // what is asked after the look should be of the same moment
  const std::lock_guard one_look(looking_);
  // Looked at first: a thread that ends meanwhile is then known to the ledger, and not the other way round.
  ThreadObservation observation = look();
  Drain::Threads ledger = agree(observation);
  const bool is_there = !observation.threads.empty();
  StackMemory stacks(is_there ? living_thread(facts_.pid) : 0);
  CensusInput input{.pid = facts_.pid,
                    .known = measured(ledger.records, stacks),
                    .creators = std::move(ledger.creators),
                    .modules = {},
                    .trace_of = [this](std::uint32_t stack) { return trace_of(stack); },
                    .observation = std::move(observation),
                    .strangers = strangers_,
                    .unseen = {}};
  input.unseen = details_of_unseen(input, stacks);
  const std::lock_guard lock(mutex_);
  learn_modules();
  for (KnownThread& known : input.known) known.start_routine = start_routine(known.record);
  input.modules = modules_.modules();
  ThreadSnapshot snapshot = take_census(std::move(input));
  snapshot.time_ns = real_time_ns();
  snapshot.command = facts_.command;
  return snapshot;
}

// Empty when the process is gone, or runs another program by now.
ThreadObservation Session::look() {
  if (is_gone()) return {};
  ThreadObservation observation = inspector_.look();
  for (ObservedThread& thread : observation.threads) thread.own_tid = own_tid(thread.tid);
  return observation;
}

std::uint32_t Session::own_tid(pid_t tid) const {
  return facts_.shares_pid_namespace ? static_cast<std::uint32_t>(tid) : own_thread_number(facts_.pid, tid);
}

Drain::Threads Session::ledger(const std::vector<std::uint64_t>& ended_untold) {
  const std::lock_guard lock(mutex_);
  return drain_.threads(ended_untold);
}

// The ledger, in agreement with what was observed as far as a little patience brings it about. A thread that the ledger
// does not get to know was made without its seeing it, and is not waited for again.
Drain::Threads Session::agree(ThreadObservation& observation) {
  constexpr int kLooks = 10;
  Drain::Threads ledger = this->ledger();
  std::set<pid_t> unknown = drop_those_on_their_way_out(observation, ledger);
  const auto are_strangers = [&] {
    return std::includes(strangers_.begin(), strangers_.end(), unknown.begin(), unknown.end());
  };
  for (int looks = 0; looks < kLooks && !are_strangers(); ++looks) {
    std::this_thread::sleep_for(kBetweenLooks);
    ledger = this->ledger();
    unknown = drop_those_on_their_way_out(observation, ledger);
  }
  // One that is expected may still come to be known.
  if (std::any_of(ledger.records.begin(), ledger.records.end(), has_yet_to_begin))
    std::erase_if(strangers_, [&](pid_t tid) { return !unknown.contains(tid); });
  else
    strangers_ = std::move(unknown);
  const auto silent = ended_untold(ledger, observation);
  return silent.empty() ? std::move(ledger) : this->ledger(silent);
}

// What is left of them is known to the ledger, or the main thread, or in the answer.
std::set<pid_t> Session::drop_those_on_their_way_out(ThreadObservation& observation,
                                                     const Drain::Threads& ledger) const {
  const auto known = tids_of(ledger.records);
  const std::unordered_set<std::uint32_t> gone(ledger.lately_gone.begin(), ledger.lately_gone.end());
  std::set<pid_t> unknown;
  std::erase_if(observation.threads, [&](const ObservedThread& thread) {
    if (thread.tid == facts_.pid || known.contains(thread.own_tid)) return false;
    if (gone.contains(thread.own_tid) || ThreadFiles(facts_.pid, thread.tid).has_ended()) return true;
    unknown.insert(thread.tid);
    return false;
  });
  return unknown;
}

// Tokens of threads that run as the ledger has it, and that the kernel does not have any more. A program that ends or
// executes another one loses its threads as well, but nobody should have joined those; and once recording has ended
// nothing is told of any.
std::vector<std::uint64_t> Session::ended_untold(const Drain::Threads& ledger, const ThreadObservation& observation) {
  std::unordered_set<std::uint32_t> listed;
  for (const ObservedThread& thread : observation.threads) listed.insert(thread.own_tid);
  if (listed.empty() || running_unlisted(ledger.records, listed).empty()) return {};
  listed.clear();
  for (const pid_t tid : list_threads(facts_.pid)) listed.insert(own_tid(tid));
  const auto unlisted = running_unlisted(ledger.records, listed);
  if (unlisted.empty()) return {};
  std::this_thread::sleep_for(kBetweenLooks);  // until an end or another program shows
  const auto ended = static_cast<shared::End>(region_->header().ended.load(std::memory_order_acquire));
  const bool is_as_ever = !is_ending(facts_.pid) && !has_been_replaced();
  return is_as_ever && ended == shared::End::kRunning ? unlisted : std::vector<std::uint64_t>();
}

std::vector<KnownThread> Session::measured(const std::vector<ThreadRecord>& records, StackMemory& stacks) const {
  const TickMoment now = tick_moment(region_->settings().clock);
  std::vector<KnownThread> known;
  known.reserve(records.size());
  for (const ThreadRecord& record : records) {
    const StackRange stack = stack_range(stacks.mappings(), record.handle, record.stack_bytes);
    known.push_back({.record = record,
                     .start_routine = {},
                     .age_ns = ns_until(record.created, began_, now),
                     .stack_resident_bytes = static_cast<std::int64_t>(stacks.resident_bytes(stack))});
  }
  return known;
}

// Of the main thread, and of those that nobody saw being made.
std::map<pid_t, ThreadFacts> Session::details_of_unseen(const CensusInput& input, StackMemory& stacks) const {
  std::map<pid_t, ThreadFacts> details;
  for (const ObservedThread& thread : input.observation.threads) {
    if (thread.tid != facts_.pid && !strangers_.contains(thread.tid)) continue;
    ThreadFacts& facts = details[thread.tid];
    facts.age_ns = ThreadFiles(facts_.pid, thread.tid).age_ns();
    if (thread.tid != facts_.pid) continue;
    const StackRange stack = main_stack_range(stacks.mappings());
    facts.stack_bytes = static_cast<std::int64_t>(stack.size());
    facts.stack_resident_bytes = static_cast<std::int64_t>(stacks.resident_bytes(stack));
  }
  return details;
}

// It belongs to the modules that there were when its creator's stack was taken.
CodeAddress Session::start_routine(const ThreadRecord& record) const {
  if (record.start_routine == 0) return {};
  const auto creator = region_->stack(record.stack);
  const std::uint64_t epoch = creator ? creator->epoch : std::numeric_limits<std::uint64_t>::max();
  return modules_.locate(record.start_routine | shared::kInterruptedFrame, epoch);  // the address itself, no caller's
}

}  // namespace leakwatch
