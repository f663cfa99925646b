// SPDX-License-Identifier: Apache-2.0

#include "session_cache.h"

namespace service {

namespace {

constexpr std::size_t kHistoryLength = 1024;  // 16 KiB for a session, whether the user looks at pages or not

}  // namespace

std::string SessionCache::remember(const std::string& user) {
  const std::lock_guard lock(mutex_);
  std::string token = "session-" + std::to_string(next_token_++);
  Session& session = sessions_[token];
  session.user = user;
  session.history.reserve(kHistoryLength);
  return token;
}

std::size_t SessionCache::size() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

}  // namespace service
