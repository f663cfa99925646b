// SPDX-License-Identifier: Apache-2.0
//
// A thread that does what others ask of it, one after the other, with the priority of whoever made it. For work that
// keeps a third one waiting: while counters are copied, the draining pauses. A thread of low priority that did it by
// itself would take seconds for some milliseconds of it on a machine where everybody computes.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace leakwatch {

class ErrandThread {
 public:
  explicit ErrandThread(const char* name);  // at most 15 characters; throws std::system_error
  ~ErrandThread();                          // nobody may wait in run()
  ErrandThread(const ErrandThread&) = delete;
  ErrandThread& operator=(const ErrandThread&) = delete;

  // Waits for the result. What the errand throws is thrown here.
  template <typename Errand>
  auto run(Errand errand) {
    std::packaged_task<decltype(errand())()> task(std::move(errand));
    auto result = task.get_future();
    add([&task] { task(); });
    return result.get();
  }

 private:
  using Job = std::function<void()>;

  void add(Job job);
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace leakwatch
