// SPDX-License-Identifier: Apache-2.0
//
// The threads that make answers, those of a kind in the order of the requests. Their priority is low: somebody who
// looks must not slow what he looks at. No kind of work takes all threads, so that whoever floods one of them keeps
// none of the other waiting for longer than an answer of its own kind.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/http/http_message.h"

namespace leakwatch {

class HttpWorkers {
 public:
  using Job = std::function<void()>;  // must not throw

  explicit HttpWorkers(std::size_t threads);  // throws std::system_error
  ~HttpWorkers();                             // waits for the jobs that run; the others are dropped
  HttpWorkers(const HttpWorkers&) = delete;
  HttpWorkers& operator=(const HttpWorkers&) = delete;

  void add(HttpWork work, Job job);

 private:
  struct Lane {
    std::deque<Job> jobs;
    std::size_t running = 0;
  };

  void work();
  Lane* next_lane();
  void stop();

  const std::size_t most_of_a_kind_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Lane, kHttpWorks> lanes_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace leakwatch
