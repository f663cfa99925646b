// SPDX-License-Identifier: Apache-2.0
//
// A subscriber to news. Here is the service's second leak: each one is a thread that waits, and news never come.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

namespace service {

class Subscription {
 public:
  // Starts a thread that waits for the news of `topic`, and lets it go.
  static void start(const std::string& topic);

 private:
  explicit Subscription(const std::string& topic) : topic_(topic) {}
  void wait();

  std::string topic_;
  std::mutex mutex_;
  std::condition_variable arrival_;
  bool has_news_ = false;
};

}  // namespace service
