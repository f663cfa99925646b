// SPDX-License-Identifier: Apache-2.0
//
// See the header. No label says how long or which thread: what drifts would break subtraction.

#include "cli/profile/thread_profile.h"

#include <fmt/format.h>

namespace leakwatch {

namespace {

ProfileContent counting(const ThreadSnapshot& snapshot, std::string_view what) {
  ProfileContent content{.types = {{what, "count"}},
                         .period_type = {what, "count"},
                         .period = 1,
                         .default_type = {},
                         .number_label = {},
                         .text_label = {},
                         .drop_frames = {},
                         .weight = {0},
                         .time_ns = snapshot.time_ns,
                         .duration_ns = 0,
                         .parts = {{snapshot.modules, snapshot.stacks, {}}},
                         .comments = {fmt::format("command: {}", snapshot.command)}};
  content.comments.insert(content.comments.end(), snapshot.notes.begin(), snapshot.notes.end());
  return content;
}

ProfileContent live_threads(const ThreadSnapshot& snapshot, std::string_view what) {
  ProfileContent content = counting(snapshot, what);
  content.text_label = "thread_name";
  for (const LiveThread& thread : snapshot.threads)
    content.parts.front().samples.push_back({thread.stack, {1}, 0, folded_name(thread.name)});
  return content;
}

}  // namespace

std::string build_threads_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols) {
  return build_profile(live_threads(snapshot, "threads"), symbols);
}

std::string build_threadcreate_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols) {
  ProfileContent content = counting(snapshot, "threadcreate");
  content.types = {{"threadcreate", "count"}, {"running", "count"}, {"ended_unjoined", "count"}, {"stack", "bytes"}};
  content.default_type = "running";
  for (const ThreadCreator& creator : snapshot.creators) {
    const ThreadCounters& c = creator.counters;
    content.parts.front().samples.push_back({creator.stack, {c.created, c.running, c.unjoined, c.stack_bytes}, 0, {}});
  }
  return build_profile(content, symbols);
}

ProfileContent goroutine_content(const ThreadSnapshot& snapshot) {
  return live_threads(snapshot, "goroutine");
}

ProfileContent threadcreate_content(const ThreadSnapshot& snapshot) {
  ProfileContent content = counting(snapshot, "threadcreate");
  for (const ThreadCreator& creator : snapshot.creators)
    content.parts.front().samples.push_back({creator.stack, {creator.counters.created}, 0, {}});
  return content;
}

}  // namespace leakwatch
