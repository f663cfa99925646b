// SPDX-License-Identifier: Apache-2.0
//
// See the header. One job at a time, in order: the numbers of the files are those of the snapshots.

#include "cli/report/profile_writer.h"

#include <fmt/format.h>

#include <utility>

#include "cli/base/background_thread.h"
#include "cli/base/gzip.h"
#include "cli/base/terminal.h"
#include "cli/profile/heap_profile.h"
#include "cli/profile/thread_profile.h"
#include "cli/report/report.h"
#include "cli/report/thread_listing.h"
#include "cli/report/thread_report.h"

namespace leakwatch {

namespace {

constexpr std::size_t kMostWaiting = 4;

}  // namespace

ProfileWriter::ProfileWriter(ProfileFolder folder, bool quiet)
    : folder_(std::move(folder)), quiet_(quiet), thread_(background_thread("profiles", 0, [this] { run(); })) {}

ProfileWriter::~ProfileWriter() {
  finish();
}

void ProfileWriter::write(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMostWaiting && !entry.is_last)
    return say("a profile was left out: the ones before it are still being written");
  entries_.push_back(std::move(entry));
  changed_.notify_one();
}

std::string ProfileWriter::finish() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  if (!last_) return {};
  // Many programs free all they have when they end. What had grown until then is what the user wants to know.
  const auto live = [](const Written& written) { return total(*written.entry.heap.snapshot).inuse_space; };
  const bool freed_at_end = last_alive_ && 2 * live(*last_) < live(*last_alive_);
  const Written& shown = freed_at_end ? *last_alive_ : *last_;
  const SymbolLookup& symbols = shown.entry.heap.symbols;
  std::string report =
      freed_at_end ? "Most of the heap was freed when the program ended: this is what it held before.\n" : "";
  report += final_report(*first_->entry.heap.snapshot, *shown.entry.heap.snapshot, symbols, first_->path, shown.path);
  // The last look at the threads was taken while there were any.
  const Written& looked = last_alive_ ? *last_alive_ : *last_;
  const bool alone = first_->path == looked.path;
  const std::string about_threads =
      thread_report(alone ? ThreadSnapshot() : *first_->entry.threads.snapshot, *looked.entry.threads.snapshot, symbols,
                    alone ? "since the start" : "since the first profile");
  return about_threads.empty() ? report : about_threads + "\n" + report;
}

void ProfileWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return leaving_ || !entries_.empty(); });
    if (entries_.empty()) return;
    const Entry entry = std::move(entries_.front());
    lock.unlock();
    try {
      process(entry);
    } catch (const std::exception& error) {
      say(fmt::format("a profile could not be made: {}", error.what()));
    }
    lock.lock();
    entries_.pop_front();
  }
}

void ProfileWriter::write_beside(const std::string& kind, const std::string& bytes, const std::string& ending) {
  const auto written = folder_.write(kind, bytes, ending);
  if (!written.path.empty()) return;
  say(written.error);
  folder_.skip(kind, ending);
}

// The heap's path, empty when it could not be written: then the others are not tried, so that a full disk is one line.
std::string ProfileWriter::write_files(const Entry& entry) {
  const Moment<ThreadSnapshot>& threads = entry.threads;
  const auto heap =
      folder_.write("heap", gzip(build_heap_profile(*entry.heap.snapshot, entry.heap.symbols, HeapProfileKind::kHeap)));
  if (heap.path.empty()) {
    say(heap.error);
    return {};
  }
  write_beside("threads", gzip(build_threads_profile(*threads.snapshot, threads.symbols)));
  write_beside("threads", thread_listing(*threads.snapshot, threads.symbols), "txt");
  write_beside("threadcreate", gzip(build_threadcreate_profile(*threads.snapshot, threads.symbols)));
  return heap.path;
}

void ProfileWriter::process(const Entry& entry) {
  const std::string path = write_files(entry);
  if (!first_ || first_->path.empty() || first_->entry.heap.program != entry.heap.program) {
    first_ = {entry, path};
    last_alive_.reset();
  }
  const HeapSnapshot& now = *entry.heap.snapshot;
  if (!quiet_)
    say(snapshot_line(*first_->entry.heap.snapshot, now, entry.threads.snapshot->threads.size(), entry.age.count(),
                      path.empty() ? "not written" : path));
  last_ = {entry, path};
  if (now.resident_bytes != 0 && !path.empty()) last_alive_ = last_;
}

}  // namespace leakwatch
