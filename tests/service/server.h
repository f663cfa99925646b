// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server: a few worker threads, each of which takes a connection, answers its one request and closes it.
//
//   POST /login      user=NAME in the body; answers with the token of a new session
//   GET  /page       a page, rendered for this request
//   GET  /subscribe  a thread waits for news, for ever
//   GET  /sessions   how many sessions there are
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "session_cache.h"
#include "socket.h"

namespace service {

struct Request {
  std::string method;
  std::string path;
  std::string body;
};

struct Response {
  int status = 200;
  std::string body;
};

class Server {
 public:
  explicit Server(std::uint16_t port);
  ~Server() { stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const { return port_of(listener_); }
  // Answers what was asked already, and no more.
  void stop();

 private:
  void work();
  Response handle(const Request& request);
  Response log_in(const Request& request);

  const Socket listener_;
  std::atomic<bool> is_stopping_{false};
  SessionCache sessions_;
  std::vector<std::thread> workers_;
};

}  // namespace service
