// SPDX-License-Identifier: Apache-2.0
//
// See the header. No label says how long or which thread: what drifts would break subtraction.

#include "cli/thread_profile.h"

#include <fmt/format.h>

namespace leakwatch {

namespace {

ProfileContent content_of(const ThreadSnapshot& snapshot, std::string_view what) {
  ProfileContent content{.types = {},
                         .period_type = {what, "count"},
                         .period = 1,
                         .default_type = {},
                         .number_label = {},
                         .text_label = {},
                         .drop_frames = {},
                         .time_ns = snapshot.time_ns,
                         .duration_ns = 0,
                         .modules = snapshot.modules,
                         .stacks = snapshot.stacks,
                         .samples = {},
                         .comments = {fmt::format("command: {}", snapshot.command)}};
  content.comments.insert(content.comments.end(), snapshot.notes.begin(), snapshot.notes.end());
  return content;
}

}  // namespace

std::string build_threads_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols) {
  ProfileContent content = content_of(snapshot, "threads");
  content.types = {{"threads", "count"}};
  content.text_label = "thread_name";
  for (const LiveThread& thread : snapshot.threads)
    content.samples.push_back({thread.stack, {1}, 0, folded_name(thread.name)});
  return build_profile(content, symbols);
}

std::string build_threadcreate_profile(const ThreadSnapshot& snapshot, const SymbolLookup& symbols) {
  ProfileContent content = content_of(snapshot, "threadcreate");
  content.types = {{"threadcreate", "count"}, {"running", "count"}, {"ended_unjoined", "count"}, {"stack", "bytes"}};
  content.default_type = "running";
  for (const ThreadCreator& creator : snapshot.creators) {
    const ThreadCounters& c = creator.counters;
    content.samples.push_back({creator.stack, {c.created, c.running, c.unjoined, c.stack_bytes}, 0, {}});
  }
  return build_profile(content, symbols);
}

}  // namespace leakwatch
