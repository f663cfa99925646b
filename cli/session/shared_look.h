// SPDX-License-Identifier: Apache-2.0
//
// One look at something for all who ask at about the same time. What a caller gets was always taken after it asked, so
// nothing stale is ever told; and however many ask, looks begin at least `spacing` apart.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace leakwatch {

// Thread-safe. Result: copyable and cheap to copy.
template <typename Result>
class SharedLook {
 public:
  using Clock = std::chrono::steady_clock;

  explicit SharedLook(std::chrono::milliseconds spacing) : spacing_(spacing) {}

  // The first of those who wait calls `look`, which may throw: then this caller has the exception, and the next one
  // looks for itself.
  template <typename Look>
  Result take(Look look) {
    std::unique_lock lock(mutex_);
    const std::uint64_t wanted = begun_ + 1;
    changed_.wait(lock, [&] { return done_ >= wanted || !has_leader_; });
    if (done_ >= wanted) return result_;
    has_leader_ = true;
    const Clock::time_point when = next_;
    lock.unlock();
    std::this_thread::sleep_until(when);
    lock.lock();
    const std::uint64_t number = ++begun_;
    lock.unlock();
    try {
      Result result = look();
      lock.lock();
      result_ = std::move(result);
      done_ = number;
    } catch (...) {
      lock.lock();
      leave();
      throw;
    }
    leave();
    return result_;
  }

 private:
  void leave() {
    has_leader_ = false;
    next_ = Clock::now() + spacing_;
    changed_.notify_all();
  }

  const std::chrono::milliseconds spacing_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_leader_ = false;
  std::uint64_t begun_ = 0;
  std::uint64_t done_ = 0;  // number of the look that result_ is from
  Clock::time_point next_{};
  Result result_{};
};

}  // namespace leakwatch
