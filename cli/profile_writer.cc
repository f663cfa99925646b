// SPDX-License-Identifier: Apache-2.0
//
// See the header. One job at a time, in order: the numbers of the files are those of the snapshots.

#include "cli/profile_writer.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "cli/heap_profile.h"
#include "cli/report.h"
#include "cli/thread_profile.h"
#include "cli/thread_report.h"

namespace leakwatch {

namespace {

constexpr std::size_t kMostWaiting = 4;

SymbolLookup lookup(SymbolService& symbols) {
  return {[&symbols](const Module& module, std::uint64_t address) -> const std::vector<Frame>& {
            return symbols.frames(module, address);
          },
          [&symbols](const Module& module) { return symbols.source(module); }};
}

}  // namespace

void say(const std::string& line) {
  std::fputs(fmt::format("leakwatch: {}\n", line).c_str(), stderr);
}

ProfileWriter::ProfileWriter(ProfileFolder folder, bool quiet)
    : folder_(std::move(folder)), quiet_(quiet), thread_([this] { run(); }) {}

ProfileWriter::~ProfileWriter() {
  finish();
}

void ProfileWriter::begin_anew() {
  const std::lock_guard lock(mutex_);
  next_is_first_ = true;
}

void ProfileWriter::write(Moment moment, std::shared_ptr<SymbolService> symbols) {
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= kMostWaiting) return say("a profile was left out: the ones before it are still being written");
  jobs_.push_back({std::move(moment), std::move(symbols), next_is_first_});
  next_is_first_ = false;
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
  const bool freed_at_end =
      last_alive_ && 2 * total(last_->moment.heap).inuse_space < total(last_alive_->moment.heap).inuse_space;
  const Written& shown = freed_at_end ? *last_alive_ : *last_;
  const SymbolLookup symbols = lookup(*symbols_);
  std::string report =
      freed_at_end ? "Most of the heap was freed when the program ended: this is what it held before.\n" : "";
  report += final_report(first_->moment.heap, shown.moment.heap, symbols, first_->path, shown.path);
  // The last look at the threads was taken while there were any.
  const ThreadSnapshot& threads = (last_alive_ ? *last_alive_ : *last_).moment.threads;
  const bool alone = first_->path == (last_alive_ ? *last_alive_ : *last_).path;
  const std::string about_threads = thread_report(alone ? ThreadSnapshot() : first_->moment.threads, threads, symbols,
                                                  alone ? "since the start" : "since the first profile");
  return about_threads.empty() ? report : about_threads + "\n" + report;
}

void ProfileWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return leaving_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    lock.unlock();
    try {
      process(std::move(job));
    } catch (const std::exception& error) {
      say(fmt::format("a profile could not be made: {}", error.what()));
    }
    lock.lock();
    jobs_.pop_front();
  }
}

// The heap's path, empty when it could not be written: then the others are not tried, so that a full disk is one line.
std::string ProfileWriter::write_files(const Moment& moment) {
  const SymbolLookup symbols = lookup(*symbols_);
  const auto heap = folder_.write("heap", gzip(build_heap_profile(moment.heap, symbols, HeapProfileKind::kHeap)));
  if (heap.path.empty()) {
    say(heap.error);
    return {};
  }
  const std::pair<const char*, std::string> others[] = {
      {"threads", build_threads_profile(moment.threads, symbols)},
      {"threadcreate", build_threadcreate_profile(moment.threads, symbols)}};
  for (const auto& [kind, profile] : others) {
    const auto written = folder_.write(kind, gzip(profile));
    if (!written.path.empty()) continue;
    say(written.error);
    folder_.skip(kind);
  }
  return heap.path;
}

void ProfileWriter::process(Job job) {
  symbols_ = std::move(job.symbols);
  Moment& moment = job.moment;
  const std::string path = write_files(moment);
  if (job.is_first || !first_) {
    first_ = {moment, path};
    last_alive_.reset();
  }
  if (first_->path.empty()) first_->path = path;
  if (!quiet_)
    say(snapshot_line(first_->moment.heap, moment.heap, moment.threads.threads.size(), moment.age.count(),
                      path.empty() ? "not written" : path));
  last_ = {std::move(moment), path};
  if (last_->moment.heap.resident_bytes != 0 && !path.empty()) last_alive_ = last_;
}

}  // namespace leakwatch
