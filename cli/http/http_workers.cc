// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_workers.h"

#include <algorithm>
#include <utility>

#include "cli/base/background_thread.h"

namespace leakwatch {

namespace {

constexpr int kNiceness = 10;

}  // namespace

HttpWorkers::HttpWorkers(std::size_t threads) : most_of_a_kind_(std::max<std::size_t>(threads, 2) - 1) {
  threads_.reserve(threads);
  try {
    while (threads_.size() < threads)
      threads_.push_back(background_thread("http-worker", kNiceness, [this] { work(); }));
  } catch (...) {
    stop();
    throw;
  }
}

HttpWorkers::~HttpWorkers() {
  stop();
}

void HttpWorkers::add(HttpWork work, Job job) {
  {
    const std::lock_guard lock(mutex_);
    lanes_[static_cast<std::size_t>(work)].jobs.push_back(std::move(job));
  }
  changed_.notify_one();
}

void HttpWorkers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    Lane* lane = nullptr;
    changed_.wait(lock, [&] { return stopping_ || (lane = next_lane()) != nullptr; });
    if (stopping_) return;
    Job job = std::move(lane->jobs.front());
    lane->jobs.pop_front();
    ++lane->running;
    lock.unlock();
    job();
    job = nullptr;  // what it holds is freed without the lock
    lock.lock();
    --lane->running;  // this thread itself is the one that may take the next of them
  }
}

HttpWorkers::Lane* HttpWorkers::next_lane() {
  const auto is_free = [this](const Lane& lane) { return !lane.jobs.empty() && lane.running < most_of_a_kind_; };
  const auto lane = std::find_if(lanes_.begin(), lanes_.end(), is_free);
  return lane == lanes_.end() ? nullptr : &*lane;
}

void HttpWorkers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace leakwatch
