// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/serve/served_profile.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "cli/profile/empty_profile.h"
#include "cli/profile/heap_profile.h"
#include "cli/profile/heap_text.h"
#include "cli/profile/thread_profile.h"
#include "cli/profile/thread_text.h"

namespace leakwatch {

namespace {

std::optional<ServedProfile> heap_profile(ProfileSource& source, std::string_view name) {
  Moment<HeapSnapshot> moment = source.heap();
  if (!moment.snapshot) return {};
  return served_heap(name, std::move(moment));
}

std::optional<ServedProfile> thread_profile(ProfileSource& source, std::string_view name) {
  Moment<ThreadSnapshot> moment = source.threads();
  if (!moment.snapshot) return {};
  ProfileContent content =
      name == "threadcreate" ? threadcreate_content(*moment.snapshot) : goroutine_content(*moment.snapshot);
  return ServedProfile{std::string(name), std::move(content), std::move(moment.symbols), moment.program,
                       nullptr,           moment.snapshot};
}

ServedProfile contention_profile(std::string_view name) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return {std::string(name), contention_content(time_ns), {}, 0, nullptr, nullptr};
}

}  // namespace

const std::vector<Module>* ServedProfile::modules() const {
  if (heap) return &heap->modules;
  return threads ? &threads->modules : nullptr;
}

bool is_profile_name(std::string_view name) {
  constexpr std::array<std::string_view, 7> kNames{"allocs", "block",        "goroutine", "heap",
                                                   "mutex",  "threadcreate", "threads"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::optional<ServedProfile> look_at(ProfileSource& source, std::string_view name) {
  if (name == "heap" || name == "allocs") return heap_profile(source, name);
  if (name == "block" || name == "mutex") return contention_profile(name);
  return thread_profile(source, name);
}

ServedProfile served_heap(std::string_view name, Moment<HeapSnapshot> moment) {
  const HeapProfileKind kind = name == "allocs" ? HeapProfileKind::kAllocs : HeapProfileKind::kHeap;
  ProfileContent content = heap_content(*moment.snapshot, kind);
  return {std::string(name), std::move(content), std::move(moment.symbols), moment.program, moment.snapshot, nullptr};
}

std::string profile_text(const ServedProfile& profile, std::int64_t debug) {
  if (profile.heap) return heap_text(profile.content, profile.symbols, kTextLimits);
  if (profile.name == "block") return block_text();
  if (profile.name == "mutex") return mutex_text();
  if (profile.name == "threadcreate") return count_text("threadcreate", profile.content, profile.symbols, kTextLimits);
  if (debug >= 2) return stacks_text(*profile.threads, profile.symbols);
  return count_text("goroutine", profile.content, profile.symbols, kTextLimits);
}

}  // namespace leakwatch
