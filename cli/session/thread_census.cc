// SPDX-License-Identifier: Apache-2.0
//
// See the header. Both sources number modules in their own way: here they get one list.

#include "cli/session/thread_census.h"

#include <algorithm>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace leakwatch {

namespace {

// The loader's name of a file can be another than the kernel's: /lib is a link to /usr/lib.
bool is_same_module(const Module& a, const Module& b) {
  if (a.bias != b.bias) return false;
  if (a.build_id.empty() || b.build_id.empty()) return a.path == b.path;
  return a.build_id == b.build_id;
}

// Our own object, also when it lies in memory ("/memfd:libleakwatch-..."): pthread_join and its kin wait inside a hook.
bool is_ours(const Module& module) {
  const std::string_view path = module.path;
  return path.substr(path.find_last_of("/:") + 1).starts_with("libleakwatch");
}

ThreadFacts facts_of(const KnownThread& known) {
  const ThreadRecord& record = known.record;
  return {.start_routine = known.start_routine,
          .age_ns = known.age_ns,
          .stack_bytes = static_cast<std::int64_t>(record.stack_bytes),
          .guard_bytes = static_cast<std::int64_t>(record.guard_bytes),
          .stack_resident_bytes = known.stack_resident_bytes};
}

class Census {
 public:
  explicit Census(CensusInput input) : input_(std::move(input)) {}

  ThreadSnapshot take() {
    merge_modules();
    for (const auto& [stack, counters] : input_.creators)
      snapshot_.creators.push_back({creator_stack(stack), counters});
    if (input_.observation.threads.empty())
      add_threads_from_ledger();
    else
      add_observed_threads();
    add_unjoined_threads();
    if (!input_.observation.refusal.empty())
      snapshot_.notes.push_back(input_.observation.refusal);
    else if (input_.observation.threads.empty())
      snapshot_.notes.emplace_back(
          "The program was gone when this was written: threads stand where they were created.");
    return std::move(snapshot_);
  }

 private:
  // modules_of_observation_[i] is the place in the snapshot of the observation's module i.
  void merge_modules() {
    snapshot_.modules = std::move(input_.modules);
    for (const Module& module : input_.observation.modules) {
      const auto known = std::find_if(snapshot_.modules.begin(), snapshot_.modules.end(),
                                      [&module](const Module& m) { return is_same_module(m, module); });
      modules_of_observation_.push_back(static_cast<std::uint32_t>(known - snapshot_.modules.begin()));
      if (known == snapshot_.modules.end()) snapshot_.modules.push_back(module);
    }
  }

  std::uint32_t add_stack(StackTrace stack) {
    return share_stack(std::make_shared<const StackTrace>(std::move(stack)));
  }

  std::uint32_t share_stack(SharedStack stack) {
    snapshot_.stacks.share(std::move(stack));
    return static_cast<std::uint32_t>(snapshot_.stacks.size() - 1);
  }

  std::uint32_t creator_stack(std::uint32_t stack) {
    const auto [place, is_new] = creator_stacks_.try_emplace(stack);
    if (is_new) place->second = share_stack(input_.trace_of(stack));
    return place->second;
  }

  // For a thread whose creation was not seen: also counted among the creators, so that all running threads are.
  std::uint32_t stack_of_mark(std::uint64_t mark) {
    const auto [place, is_new] = mark_creators_.try_emplace(mark, snapshot_.creators.size());
    if (is_new) snapshot_.creators.push_back({add_stack({{mark, CodeAddress::kMarkFrame}}), {}});
    ThreadCreator& creator = snapshot_.creators[place->second];
    ++creator.counters.created;
    ++creator.counters.running;
    return creator.stack;
  }

  std::uint32_t unseen_creator(pid_t tid) {
    return stack_of_mark(tid == input_.pid ? kMainThreadMark : kUnseenCreatorMark);
  }

  void add_unjoined_threads() {
    for (const KnownThread& known : input_.known) {
      if (!known.record.ended) continue;
      snapshot_.unjoined.push_back({known.record.tid, creator_stack(known.record.stack), facts_of(known)});
    }
  }

  // The process is gone, and nothing but the ledger knows what it had; of the main thread we know without it.
  void add_threads_from_ledger() {
    LiveThread main;
    main.tid = static_cast<std::uint32_t>(input_.pid);
    main.stack = main.creator = unseen_creator(input_.pid);
    snapshot_.threads.push_back(std::move(main));
    for (const KnownThread& known : input_.known) {
      if (known.record.ended) continue;
      LiveThread thread;
      thread.tid = known.record.tid;
      thread.stack = thread.creator = creator_stack(known.record.stack);
      thread.facts = facts_of(known);
      snapshot_.threads.push_back(std::move(thread));
    }
  }

  void add_observed_threads() {
    for (const KnownThread& known : input_.known) {
      if (known.record.tid != 0)
        by_tid_[known.record.tid] = &known;
      else if (!known.record.ended)
        not_begun_.push_back(&known);
    }
    for (const ObservedThread& observed : input_.observation.threads) {
      const KnownThread* known = find(observed);
      if (known != nullptr && known->record.ended) continue;  // on its way out, and counted as ended
      if (known != nullptr)
        add_observed(observed, creator_stack(known->record.stack), facts_of(*known));
      else
        add_observed(observed, unseen_creator(observed.tid), input_.unseen[observed.tid]);
    }
  }

  // A thread that waits for its first turn on a processor has not yet told its number. Which of those that are expected
  // it is cannot be seen; any of them gives the right sums.
  const KnownThread* find(const ObservedThread& observed) {
    if (const auto known = by_tid_.find(observed.own_tid); known != by_tid_.end()) return known->second;
    if (not_begun_.empty() || observed.tid == input_.pid || input_.strangers.contains(observed.tid)) return nullptr;
    const KnownThread* expected = not_begun_.front();
    not_begun_.pop_front();
    return expected;
  }

  void add_observed(const ObservedThread& observed, std::uint32_t creator, const ThreadFacts& facts) {
    LiveThread thread;
    thread.tid = static_cast<std::uint32_t>(observed.tid);
    thread.name = observed.name;
    thread.state = observed.state;
    thread.waits_on = observed.waits_on;
    thread.wait_channel = observed.wait_channel;
    thread.waiting_ns = observed.waiting_ns;
    thread.stack_note = observed.stack_note;
    thread.is_placed = !observed.stack.empty();
    thread.creator = creator;
    thread.stack = thread.is_placed ? add_stack(translated(observed.stack)) : creator;
    thread.facts = facts;
    snapshot_.threads.push_back(std::move(thread));
  }

  StackTrace translated(const StackTrace& stack) const {
    StackTrace result;
    result.reserve(stack.size());
    for (CodeAddress address : stack) {
      if (address.module < modules_of_observation_.size()) {
        address.module = modules_of_observation_[address.module];
        if (is_ours(snapshot_.modules[address.module])) continue;
      }
      result.push_back(address);
    }
    return result;
  }

  CensusInput input_;
  ThreadSnapshot snapshot_;
  std::vector<std::uint32_t> modules_of_observation_;
  std::unordered_map<std::uint32_t, std::uint32_t> creator_stacks_;
  std::map<std::uint64_t, std::size_t> mark_creators_;
  std::unordered_map<std::uint32_t, const KnownThread*> by_tid_;
  std::deque<const KnownThread*> not_begun_;
};

}  // namespace

ThreadSnapshot take_census(CensusInput input) {
  return Census(std::move(input)).take();
}

}  // namespace leakwatch
