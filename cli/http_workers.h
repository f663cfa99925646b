// SPDX-License-Identifier: Apache-2.0
//
// The threads that make answers, one after the other in the order of the requests. Their priority is low: somebody who
// looks must not slow what he looks at.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace leakwatch {

class HttpWorkers {
 public:
  using Job = std::function<void()>;  // must not throw

  explicit HttpWorkers(std::size_t threads);  // throws std::system_error
  ~HttpWorkers();                             // waits for the jobs that run; the others are dropped
  HttpWorkers(const HttpWorkers&) = delete;
  HttpWorkers& operator=(const HttpWorkers&) = delete;

  void add(Job job);

 private:
  void work();
  void stop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace leakwatch
