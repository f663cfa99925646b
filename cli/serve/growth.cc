// SPDX-License-Identifier: Apache-2.0
//
// See the header. A snapshot is turned into sums by name at once and then let go: names are what snapshots have in
// common, and sums by name are small.

#include "cli/serve/growth.h"

#include <algorithm>
#include <set>
#include <utility>

#include "cli/profile/place.h"

namespace leakwatch {

namespace {

constexpr std::size_t kSitesThatGrewMost = 12;
constexpr std::size_t kSitesThatGrowFastest = 6;  // beside those
constexpr std::size_t kGroups = 15;
// The largest at each look: smaller ones are none that grow, and memory stays bounded.
constexpr std::size_t kMostKnown = 10'000;

using Trend = TrendTable::Trend;

bool has_grown_more(const Trend& a, const Trend& b) {
  return a.grown != b.grown ? a.grown > b.grown : a.now > b.now;
}

bool grows_faster(const Trend& a, const Trend& b) {
  return a.per_minute > b.per_minute;
}

// Stable: equals stay in the order of their names.
std::vector<Trend> first_by(std::vector<Trend> trends, bool (*comes_before)(const Trend&, const Trend&),
                            std::size_t limit) {
  std::stable_sort(trends.begin(), trends.end(), comes_before);
  if (trends.size() > limit) trends.resize(limit);
  return trends;
}

// A cache that was filled hours ago has grown most, and the leak that began a minute ago is of more interest: both.
std::vector<Trend> growing(std::vector<Trend> trends) {
  std::erase_if(trends, [](const Trend& trend) { return trend.grown <= 0; });
  std::vector<Trend> chosen = first_by(trends, has_grown_more, kSitesThatGrewMost);
  std::set<TrendTable::Key> known;
  for (const Trend& trend : chosen) known.insert(trend.key);
  std::erase_if(trends, [&known](const Trend& trend) { return known.contains(trend.key); });
  for (Trend& trend : first_by(std::move(trends), grows_faster, kSitesThatGrowFastest)) {
    if (trend.per_minute.value_or(0) > 0) chosen.push_back(std::move(trend));
  }
  return chosen;
}

}  // namespace

std::shared_ptr<const GrowthReport> Growth::report() {
  if (const std::unique_lock updating(updating_, std::try_to_lock); updating.owns_lock()) {
    update();
    auto composed = std::make_shared<const GrowthReport>(compose());
    const std::lock_guard lock(mutex_);
    report_ = std::move(composed);
  }
  const std::lock_guard lock(mutex_);
  return report_;
}

void Growth::update() {
  const HistoryNow now = history_.now();
  if (now.program != program_) begin_anew(now.program);
  if (program_ == 0) return;
  look_at_heap();
  look_at_threads();
}

void Growth::begin_anew(std::uint64_t program) {
  program_ = program;
  next_heap_ = next_threads_ = 0;
  heap_ = TrendTable(kWindow);
  threads_ = TrendTable(kWindow);
  blocks_.clear();
  states_.clear();
  notes_.clear();
}

double Growth::next_look(double begun) const {
  const double took = history_.now().seconds - begun;
  return begun + std::max(kLookEvery, took / kLargestShare);
}

// What was kept while nobody asked comes first.
void Growth::look_at_heap() {
  const double now = history_.now().seconds;
  if (now < next_heap_) return;
  for (const HeldHeap& held : history_.heaps()) add_heap(held.seconds, held.moment);
  add_heap(now, source_.heap());
  next_heap_ = next_look(now);
}

void Growth::add_heap(double seconds, const Moment<HeapSnapshot>& heap) {
  if (!heap.snapshot || heap.program != program_ || seconds <= heap_.last_time().value_or(-1)) return;
  TrendTable::Values bytes;
  blocks_.clear();
  for (const GrownSite& site : grown_sites(HeapSnapshot(), *heap.snapshot, heap.symbols, kMostKnown)) {
    const TrendTable::Key key(site.function, site.location);
    bytes[key] += site.bytes;
    blocks_[key] += site.blocks;
  }
  heap_.add(seconds, bytes);
}

void Growth::look_at_threads() {
  const double now = history_.now().seconds;
  if (now < next_threads_) return;
  const Moment<ThreadSnapshot> threads = source_.threads();
  if (!threads.snapshot || threads.program != program_) return;
  TrendTable::Values numbers;
  states_.clear();
  for (const ThreadGroup& group : grown_groups(ThreadSnapshot(), *threads.snapshot, threads.symbols, kMostKnown)) {
    const TrendTable::Key key(group.place, group.creator);
    numbers[key] = group.now;
    states_[key] = group.state;
  }
  threads_.add(now, numbers);
  notes_ = threads.snapshot->notes;
  next_threads_ = next_look(now);
}

GrowthReport Growth::compose() const {
  if (!heap_.last_time()) return {};
  return {.program = program_,
          .heap_since = heap_.first_time(),
          .threads_since = threads_.first_time(),
          .heap_times = heap_.times(),
          .thread_times = threads_.times(),
          .sites = sites(),
          .groups = groups(),
          .notes = notes_};
}

std::vector<SiteGrowth> Growth::sites() const {
  std::vector<SiteGrowth> sites;
  for (const Trend& trend : growing(heap_.trends())) {
    sites.push_back({.function = without_signature(trend.key.first),
                     .location = trend.key.second,
                     .live_bytes = trend.now,
                     .live_blocks = blocks_.at(trend.key),
                     .grown_bytes = trend.grown,
                     .bytes_per_minute = trend.per_minute,
                     .trend = heap_.values(trend.key)});
  }
  return sites;
}

std::vector<ThreadGrowth> Growth::groups() const {
  std::vector<ThreadGrowth> groups;
  for (const Trend& trend : first_by(threads_.trends(), has_grown_more, kGroups)) {
    groups.push_back({.threads = trend.now,
                      .state = states_.at(trend.key),
                      .place = trend.key.first,
                      .creator = trend.key.second,
                      .grown = trend.grown,
                      .per_minute = trend.per_minute,
                      .trend = threads_.values(trend.key)});
  }
  return groups;
}

}  // namespace leakwatch
