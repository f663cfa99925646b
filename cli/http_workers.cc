// SPDX-License-Identifier: Apache-2.0

#include "cli/http_workers.h"

#include <utility>

#include "cli/background_thread.h"

namespace leakwatch {

namespace {

constexpr int kNiceness = 10;

}  // namespace

HttpWorkers::HttpWorkers(std::size_t threads) {
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

void HttpWorkers::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void HttpWorkers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds is freed without the lock
    lock.lock();
  }
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
