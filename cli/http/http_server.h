// SPDX-License-Identifier: Apache-2.0
//
// The server: connections, limits and time-outs. Handlers run on a few threads of low priority and never wait for a
// client; clients never wait for each other but for those threads, and what is little work not for what is much. The
// HTTP library (Boost.Beast) is known to http_connection and http_wire alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/http/http_address.h"
#include "cli/http/http_message.h"

namespace leakwatch {

struct HttpLimits {
  std::size_t clients = 64;                   // connections at once; more are answered 503 and closed
  std::size_t delayed = 32;                   // answers under way with a delay; more get 503
  std::size_t header_bytes = 16'384;          // more: 431
  std::size_t body_bytes = 1'048'576;         // of a request; more: 413
  std::chrono::milliseconds receive{10'000};  // for a whole request, from its first byte
  std::chrono::milliseconds idle{60'000};     // between two requests of a connection
  std::chrono::milliseconds send{60'000};     // without any progress in sending an answer
  // A client whose stream ended has gone, or has only no more to ask (`printf ... | nc -N`). For so long it gets an
  // answer that needs no delay all the same; when its turn comes later than that, none is made.
  std::chrono::milliseconds half_closed{2'000};
  std::size_t threads = 3;  // one less, and at least one, for each kind of work
};

class HttpServer {
 public:
  // Binds and listens at once: throws Error (address in use, no permission, ...) that says what to do. Serves from then
  // on, on threads of its own, with all signals blocked. `allowed_hosts`: names for the Host header beside those that
  // is_allowed_host takes. Without a `weigher` all is much work.
  HttpServer(const HttpAddress& address, std::vector<std::string> allowed_hosts, HttpHandler handler,
             HttpLimits limits = {}, HttpWeigher weigher = {});
  ~HttpServer();  // closes everything; answers under way are dropped; a unix socket's file is removed
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // "http://127.0.0.1:6060/", with the port that was really bound (port 0: any free one); "unix:/path".
  const std::string& url() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leakwatch
