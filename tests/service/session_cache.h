// SPDX-License-Identifier: Apache-2.0
//
// Who is logged in. Here is the service's first leak: a session is remembered at login, and there is no logout, no
// time limit and no largest number.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace service {

struct PageView {
  std::int64_t time_ns;
  std::uint64_t page;
};

struct Session {
  std::string user;
  std::vector<PageView> history;  // the last pages that the user saw
};

class SessionCache {
 public:
  // Returns the token that stands for the session from now on.
  std::string remember(const std::string& user);
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Session> sessions_;
  std::uint64_t next_token_ = 1;
};

}  // namespace service
