// SPDX-License-Identifier: Apache-2.0

#include "cli/base/errand_thread.h"

#include "cli/base/background_thread.h"

namespace leakwatch {

ErrandThread::ErrandThread(const char* name) : thread_(background_thread(name, 0, [this] { work(); })) {}

ErrandThread::~ErrandThread() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ErrandThread::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void ErrandThread::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_over_ || !jobs_.empty(); });
    if (is_over_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

}  // namespace leakwatch
