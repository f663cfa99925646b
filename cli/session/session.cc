// SPDX-License-Identifier: Apache-2.0
//
// See the header. Stacks and modules are read here, on the caller's thread, out of memory that only grows; the drain
// thread only counts.

#include "cli/session/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "cli/base/urgency.h"
#include "cli/process/stat_file.h"

namespace leakwatch {

namespace {

std::string end_sentence(const shared::Header& header) {
  const char* why = "";
  switch (static_cast<shared::End>(header.ended.load(std::memory_order_acquire))) {
    case shared::End::kRunning:
    case shared::End::kDetached:    // as it was meant to be
    case shared::End::kReaderLeft:  // the same: end_recording()
      return {};
    case shared::End::kReaderStale:
      why = "leakwatch did not run for too long";
      break;
    case shared::End::kReaderSlow:
      why = "leakwatch could not keep up";
      break;
    default:
      why = "of an unknown cause";
      break;
  }
  const std::uint64_t now_ns = monotonic_ns(), ended_ns = header.ended_ns.load(std::memory_order_relaxed);
  const double seconds = now_ns > ended_ns ? static_cast<double>(now_ns - ended_ns) / 1e9 : 0;
  return fmt::format("recording ended {:.0f} s before this profile, because {}", seconds, why);
}

}  // namespace

Session::Session(std::unique_ptr<SharedRegion> region, ProcessFacts facts, std::vector<std::string> notes)
    : facts_(std::move(facts)),
      began_ns_(real_time_ns()),
      notes_(std::move(notes)),
      region_(std::move(region)),
      began_(tick_moment(region_->settings().clock)),
      inspector_(facts_.pid, facts_.root),
      modules_(facts_.executable, facts_.folder),
      drain_(*region_, facts_.pid) {}

void Session::end_recording() {
  region_->header().reader_left.store(1, std::memory_order_relaxed);
}

bool Session::has_been_replaced() {
  if (region_->header().executes.load(std::memory_order_relaxed) != 0) return true;
  if (!was_replaced_ && has_executed_since(facts_.pid, facts_.layout)) was_replaced_ = true;
  return was_replaced_;
}

bool Session::is_gone() {
  return has_been_replaced() || resident_bytes(facts_.pid) == 0;
}

void Session::finish(End end) {
  if (end == End::kProgram) has_successor_ = true;
  const std::lock_guard lock(mutex_);
  drain_.finish();
}

HeapSnapshot Session::snapshot() {
  const Haste haste;  // the draining waits for the copy
  const std::lock_guard lock(mutex_);
  HeapSnapshot snapshot;
  const Drain::State state = drain_.state();
  snapshot.time_ns = real_time_ns();
  learn_modules();
  snapshot.sample_interval = state.sample_interval;
  snapshot.cost = state.cost;
  const bool is_replaced = has_been_replaced();
  snapshot.resident_bytes = is_replaced ? 0 : resident_bytes(facts_.pid);
  snapshot.command = facts_.command;
  snapshot.blindness = blindness(state, is_replaced);
  std::unordered_map<std::uint32_t, std::uint32_t> index;
  for (const HeapState::Site& site : state.sites) {
    const auto [place, is_new] = index.try_emplace(site.stack, static_cast<std::uint32_t>(snapshot.stacks.size()));
    if (is_new) snapshot.stacks.share(trace_of(site.stack));
    snapshot.samples.push_back({place->second, site.size_class, site.counters});
  }
  snapshot.modules = modules_.modules();
  return snapshot;
}

LiveTotals Session::totals() {
  const std::lock_guard lock(mutex_);
  const Drain::Summary summary = drain_.summary(std::numeric_limits<std::size_t>::max());
  const bool is_replaced = has_been_replaced();
  return {.time_ns = real_time_ns(),
          .program = 0,
          .heap = summary.heap,
          .threads = summary.threads,
          .kernel_threads = is_replaced ? 0 : thread_count(facts_.pid),
          .resident_bytes = is_replaced ? 0 : resident_bytes(facts_.pid),
          .sample_interval = summary.sample_interval,
          .cost = summary.cost,
          .events = summary.events,
          .sites = summary.sites,
          .blindness = blindness(summary, is_replaced)};
}

void Session::learn_modules() {
  for (const RawModule& module : region_->modules(modules_position_)) modules_.add(module);
}

// A stack that cannot be read (its memory was overwritten) is an empty one. One with an address outside every module is
// looked at again: the announcement of the module may have been on its way.
const SharedStack& Session::trace_of(std::uint32_t stack) {
  const auto [place, is_new] = traces_.try_emplace(stack);
  SharedStack& trace = place->second;
  if (is_new) trace = std::make_shared<const StackTrace>();
  const auto is_unknown = [](const CodeAddress& at) { return at.module == CodeAddress::kNoModule; };
  if (is_new || std::any_of(trace->begin(), trace->end(), is_unknown)) {
    const auto raw = region_->stack(stack);
    StackTrace located = raw ? modules_.locate(*raw) : *trace;
    if (located != *trace) trace = std::make_shared<const StackTrace>(std::move(located));
  }
  return trace;
}

Blindness Session::blindness(const Drain::Counts& known, bool is_replaced) const {
  const shared::Header& header = region_->header();
  Blindness blindness;
  blindness.lost_allocations = header.lost_allocations.load(std::memory_order_relaxed);
  blindness.lost_frees = header.lost_frees.load(std::memory_order_relaxed) + known.implied_frees;
  blindness.unknown_frees = known.unknown_frees;
  blindness.modules_refused = header.modules_refused.load(std::memory_order_relaxed);
  blindness.stacks_refused = header.stacks_refused.load(std::memory_order_relaxed);
  blindness.bad_records = known.bad_records;
  if (header.joined.load(std::memory_order_relaxed) != 0) blindness.joined_ns = began_ns_;
  blindness.ended = end_sentence(header);
  if (blindness.ended.empty() && !has_successor_ && is_replaced)
    blindness.ended = "the process has become another program, which has not called back";
  blindness.notes = notes_;
  if (header.has_libunwind.load(std::memory_order_relaxed) == 2)
    blindness.notes.emplace_back("libunwind was not found in the target: a few unusual stacks end early");
  if (const std::uint32_t forks = header.forks.load(std::memory_order_relaxed); forks != 0)
    blindness.notes.push_back(
        fmt::format("Children made by fork are not watched, and it made {}; a service that goes into the background is "
                    "best run in the foreground.",
                    forks));
  return blindness;
}

void Session::tend(SymbolService& symbols) {
  const std::lock_guard lock(mutex_);
  const Drain::Summary summary = drain_.summary(prefetched_sites_);
  prefetched_sites_ = summary.sites;
  learn_modules();
  prefetch_symbols(symbols, summary.new_stacks);
  take_back_rings();
}

void Session::prefetch_symbols(SymbolService& symbols, const std::vector<std::uint32_t>& stacks) {
  std::map<std::uint32_t, std::vector<std::uint64_t>> wanted;  // by module
  for (const std::uint32_t stack : stacks) {
    for (const CodeAddress& at : *trace_of(stack)) {
      if (at.module < modules_.modules().size())
        wanted[at.module].push_back(at.address - modules_.modules()[at.module].bias);
    }
  }
  for (const auto& [module, addresses] : wanted) symbols.prefetch(modules_.modules()[module], addresses);
}

// Threads give their ring back when they end; those made without libc cannot. A ring must never have two writers, so
// this is only done where a thread id that we cannot find belongs to nobody.
void Session::take_back_rings() {
  if (!facts_.shares_pid_namespace || is_gone()) return;
  for (std::uint32_t i = 1; i < region_->rings_used(); ++i) {
    std::uint32_t owner = region_->ring(i).owner.load(std::memory_order_acquire);
    if (owner != 0 && !thread_exists(facts_.pid, owner))
      region_->ring(i).owner.compare_exchange_strong(owner, 0, std::memory_order_acq_rel);
  }
}

}  // namespace leakwatch
