// SPDX-License-Identifier: Apache-2.0
//
// A small client that says exactly what a test wants said, and waits. Nothing here waits longer than a minute: a server
// that hangs fails the test and does not stop the suite.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/base/descriptor.h"
#include "cli/http/http_server.h"

namespace leakwatch {

struct Reply {
  int status = 0;  // 0: the connection ended before an answer
  std::string version;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

class Client {
 public:
  // As HttpServer::url.
  explicit Client(const std::string& url) { connect_to(url, {}); }
  // With a socket that was made before, and for which no descriptor has to be left.
  Client(const std::string& url, Descriptor socket) { connect_to(url, std::move(socket)); }

  static Descriptor make_socket(int family) { return Descriptor(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

  // False: the server has closed.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Sends a request of one line and the headers that it must have, and reads the answer.
  Reply get(const std::string& target) { return ask("GET", target); }
  Reply ask(const std::string& method, const std::string& target) {
    send(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return receive(method == "HEAD");
  }

  // The next answer; of one to a HEAD no body is expected.
  Reply receive(bool is_head = false) {
    Reply reply;
    while (received_.find("\r\n\r\n") == std::string::npos)
      if (!fill()) return reply;
    read_head(reply);
    const std::string length = reply.header("content-length");
    std::size_t bytes = 0;
    std::from_chars(length.data(), length.data() + length.size(), bytes);
    if (is_head || reply.status < 200) return reply;
    while (received_.size() < bytes && fill()) {
    }
    reply.body = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return reply;
  }

  // All that still comes until the server closes.
  std::string rest() {
    while (fill()) {
    }
    return std::exchange(received_, {});
  }

  // So much of what comes, or less when the server closes.
  std::string take(std::size_t bytes) {
    while (received_.size() < bytes && fill()) {
    }
    std::string taken = received_.substr(0, bytes);
    received_.erase(0, taken.size());
    return taken;
  }

  // Waits until the server has closed; false: it said something instead.
  bool is_closed() { return rest().empty(); }

  void send_nothing_more() const { shutdown(socket_.number(), SHUT_WR); }
  void leave() { socket_.reset(); }
  // Without the usual goodbye.
  void reset() {
    const linger now{1, 0};
    setsockopt(socket_.number(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    leave();
  }
  int descriptor() const { return socket_.number(); }

 private:
  void connect_to(const std::string& url, Descriptor socket) {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_in);
    if (url.starts_with("unix:")) {
      sockaddr_un file{AF_UNIX, {}};
      url.copy(file.sun_path, sizeof file.sun_path - 1, 5);
      std::memcpy(&storage, &file, size = sizeof file);
    } else {
      sockaddr_in four{};
      four.sin_family = AF_INET;
      four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      four.sin_port = htons(port_of(url));
      std::memcpy(&storage, &four, sizeof four);
    }
    socket_ = socket.is_open() ? std::move(socket) : make_socket(storage.ss_family);
    const timeval patience{60, 0};
    setsockopt(socket_.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket_.number(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(socket_.number(), reinterpret_cast<sockaddr*>(&storage), size) != 0)
      throw std::system_error(errno, std::generic_category(), url);
  }

  static std::uint16_t port_of(const std::string& url) {
    std::uint16_t port = 0;
    const char* digits = url.c_str() + url.rfind(':') + 1;
    std::from_chars(digits, url.c_str() + url.size(), port);
    return port;
  }

  bool fill() {
    char bytes[16 * 1024];
    const ssize_t got = recv(socket_.number(), bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("the server hangs");
    if (got <= 0) return false;
    received_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  void read_head(Reply& reply) {
    const std::size_t end = received_.find("\r\n\r\n");
    std::string_view head = std::string_view(received_).substr(0, end + 2);
    reply.version = head.substr(0, head.find(' '));
    std::from_chars(head.data() + reply.version.size() + 1, head.data() + head.size(), reply.status);
    for (head.remove_prefix(head.find("\r\n") + 2); !head.empty(); head.remove_prefix(head.find("\r\n") + 2)) {
      std::string name(head.substr(0, head.find(": ")));
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      const std::size_t value = name.size() + 2;
      reply.headers[name] = head.substr(value, head.find("\r\n") - value);
    }
    received_.erase(0, end + 4);
  }

  Descriptor socket_;
  std::string received_;
};

// Something that happens once or more, and can be waited for, a minute at most.
class Event {
 public:
  void happen() {
    const std::lock_guard lock(mutex_);
    ++times_;
    changed_.notify_all();
  }
  // False: it did not happen so often.
  bool wait(int times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return times_ >= times; });
  }
  int times() const {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int times_ = 0;
};

// Tells when it is freed.
class Token {
 public:
  explicit Token(Event& freed) : freed_(freed) {}
  ~Token() { freed_.happen(); }
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

 private:
  Event& freed_;
};

inline HttpAnswer text_answer(std::string text) {
  return {{200, {{"Content-Type", "text/plain"}}, std::move(text)}, {}, {}};
}

inline HttpAnswer echo(const HttpRequest& request) {
  return text_answer(request.method + " " + request.path + " ?" + request.query + " [" + request.body + "]" +
                     (request.form_body ? " form" : ""));
}

}  // namespace leakwatch
