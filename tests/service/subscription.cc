// SPDX-License-Identifier: Apache-2.0

#include "subscription.h"

#include <memory>
#include <thread>

namespace service {

void Subscription::start(const std::string& topic) {
  const std::shared_ptr<Subscription> subscription(new Subscription(topic));
  std::thread([subscription] { subscription->wait(); }).detach();
}

void Subscription::wait() {
  std::unique_lock lock(mutex_);
  arrival_.wait(lock, [this] { return has_news_; });
}

}  // namespace service
