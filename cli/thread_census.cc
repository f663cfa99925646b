// SPDX-License-Identifier: Apache-2.0
//
// See the header. Both sources number modules in their own way: here they get one list.

#include "cli/thread_census.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace leakwatch {

namespace {

bool is_same_module(const Module& a, const Module& b) {
  return a.path == b.path && a.bias == b.bias && (a.build_id == b.build_id || a.build_id.empty() || b.build_id.empty());
}

// Our own object: pthread_join and its kin wait inside a hook.
bool is_ours(const Module& module) {
  const std::string_view path = module.path;
  return path.substr(path.rfind('/') + 1).starts_with("libleakwatch");
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
    if (!input_.observation.refusal.empty()) snapshot_.notes.push_back(input_.observation.refusal);
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
    snapshot_.stacks.push_back(std::move(stack));
    return static_cast<std::uint32_t>(snapshot_.stacks.size() - 1);
  }

  std::uint32_t creator_stack(std::uint32_t stack) {
    const auto [place, is_new] = creator_stacks_.try_emplace(stack);
    if (is_new) place->second = add_stack(input_.trace_of(stack));
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

  // The process is gone, and nothing but the ledger knows what it had; of the main thread we know without it.
  void add_threads_from_ledger() {
    LiveThread main;
    main.tid = static_cast<std::uint32_t>(input_.pid);
    main.stack = main.creator = stack_of_mark(kMainThreadMark);
    snapshot_.threads.push_back(std::move(main));
    for (const ThreadRecord& record : input_.records) {
      if (record.ended) continue;
      LiveThread thread;
      thread.tid = record.tid;
      thread.stack = thread.creator = creator_stack(record.stack);
      snapshot_.threads.push_back(std::move(thread));
    }
  }

  void add_observed_threads() {
    std::unordered_map<std::uint32_t, const ThreadRecord*> by_tid;
    for (const ThreadRecord& record : input_.records) {
      if (record.tid != 0) by_tid[record.tid] = &record;
    }
    for (const ObservedThread& observed : input_.observation.threads) {
      const auto record = by_tid.find(input_.own_number(observed.tid));
      if (record != by_tid.end() && record->second->ended) continue;  // on its way out, and counted as ended
      const std::uint32_t creator =
          record != by_tid.end() ? creator_stack(record->second->stack)
                                 : stack_of_mark(observed.tid == input_.pid ? kMainThreadMark : kUnseenCreatorMark);
      add_observed(observed, creator);
    }
  }

  void add_observed(const ObservedThread& observed, std::uint32_t creator) {
    LiveThread thread;
    thread.tid = static_cast<std::uint32_t>(observed.tid);
    thread.name = observed.name;
    thread.state = observed.state;
    thread.waiting_ns = observed.waiting_ns;
    thread.creator = creator;
    thread.is_placed = !observed.stack.empty();
    thread.stack = thread.is_placed ? add_stack(translated(observed.stack)) : creator;
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
};

}  // namespace

ThreadSnapshot take_census(CensusInput input) {
  return Census(std::move(input)).take();
}

}  // namespace leakwatch
