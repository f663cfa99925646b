// SPDX-License-Identifier: Apache-2.0
//
// See the header. One job at a time, in order: the numbers of the files are those of the snapshots.

#include "cli/profile_writer.h"

#include <fmt/format.h>

#include <cstdio>

#include "cli/heap_profile.h"
#include "cli/report.h"

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

void ProfileWriter::write(HeapSnapshot snapshot, std::shared_ptr<SymbolService> symbols,
                          std::chrono::duration<double> age) {
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= kMostWaiting) return say("a profile was left out: the ones before it are still being written");
  jobs_.push_back({std::move(snapshot), std::move(symbols), age, next_is_first_});
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
  return final_report(*first_, *last_, lookup(*symbols_), first_profile_, last_profile_);
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

void ProfileWriter::process(Job job) {
  symbols_ = std::move(job.symbols);
  const std::string bytes = build_heap_profile(job.snapshot, lookup(*symbols_), HeapProfileKind::kHeap);
  const ProfileFolder::Written written = folder_.write("heap", gzip(bytes));
  if (!written.error.empty()) say(written.error);
  if (job.is_first || !first_) {
    first_ = job.snapshot;
    first_profile_ = written.path;
  }
  if (first_profile_.empty()) first_profile_ = written.path;
  if (!written.path.empty()) last_profile_ = written.path;
  if (!quiet_)
    say(snapshot_line(*first_, job.snapshot, job.age.count(), written.path.empty() ? "not written" : written.path));
  last_ = std::move(job.snapshot);
}

}  // namespace leakwatch
