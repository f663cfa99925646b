// SPDX-License-Identifier: Apache-2.0
//
// What all connections of a server share. Only the I/O thread touches the counts.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "cli/http/http_address.h"
#include "cli/http/http_message.h"
#include "cli/http/http_server.h"
#include "cli/http/http_workers.h"

namespace leakwatch {

// One of a limited number of things; `taken`, how many there are, outlives it.
class HttpPlace {
 public:
  explicit HttpPlace(std::size_t& taken) : taken_(taken) { ++taken_; }
  ~HttpPlace() { --taken_; }
  HttpPlace(const HttpPlace&) = delete;
  HttpPlace& operator=(const HttpPlace&) = delete;

 private:
  std::size_t& taken_;
};

// In this order: whatever is pending in `io` when it ends refers to connections, and those to what stands above it.
struct HttpService {
  const HttpAddress address;
  const std::vector<std::string> allowed_hosts;
  const HttpHandler handler;
  const HttpWeigher weigher;
  const HttpLimits limits;
  std::size_t clients = 0, refused = 0, delayed = 0;
  boost::asio::io_context io{1};
  HttpWorkers workers{limits.threads};
};

}  // namespace leakwatch
