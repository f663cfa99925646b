// SPDX-License-Identifier: Apache-2.0

#include "server.h"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "page.h"
#include "subscription.h"

namespace service {

namespace {

constexpr int kWorkers = 4;
constexpr std::size_t kLargestRequest = std::size_t{64} << 10;

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "Content-Length: ";
  const std::size_t at = head.find(kName);
  std::size_t length = 0;
  if (at != std::string_view::npos) std::from_chars(head.data() + at + kName.size(), head.data() + head.size(), length);
  return std::min(length, kLargestRequest);
}

std::optional<Request> read_request(const Socket& client) {
  constexpr std::string_view kEndOfHead = "\r\n\r\n";
  std::string text;
  std::size_t head = std::string::npos;
  while ((head = text.find(kEndOfHead)) == std::string::npos) {
    if (text.size() > kLargestRequest || !client.receive(text)) return std::nullopt;
  }
  const std::size_t body = head + kEndOfHead.size();
  const std::size_t length = content_length(std::string_view(text).substr(0, head));
  while (text.size() < body + length) {
    if (!client.receive(text)) return std::nullopt;
  }
  const std::size_t space = text.find(' ');
  const std::size_t end = text.find(' ', space + 1);
  if (space > head || end > head) return std::nullopt;
  return Request{text.substr(0, space), text.substr(space + 1, end - space - 1), text.substr(body, length)};
}

std::string to_text(const Response& response) {
  return "HTTP/1.1 " + std::to_string(response.status) + (response.status < 400 ? " OK" : " Error") +
         "\r\nContent-Length: " + std::to_string(response.body.size()) + "\r\nConnection: close\r\n\r\n" +
         response.body;
}

}  // namespace

Server::Server(std::uint16_t port) : listener_(listen_on(port)) {
  for (int i = 0; i < kWorkers; ++i) workers_.emplace_back([this] { work(); });
}

// Shutting the listener down wakes the workers that wait for a connection.
void Server::stop() {
  is_stopping_ = true;
  shutdown(listener_.number(), SHUT_RDWR);
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Server::work() {
  while (!is_stopping_) {
    const Socket client = accept_from(listener_);
    if (!client.is_open()) continue;
    if (const std::optional<Request> request = read_request(client)) client.send(to_text(handle(*request)));
  }
}

Response Server::handle(const Request& request) {
  if (request.method == "POST" && request.path == "/login") return log_in(request);
  if (request.method == "GET" && request.path == "/page") return {200, render_page("you")};
  if (request.method == "GET" && request.path == "/sessions") return {200, std::to_string(sessions_.size()) + "\n"};
  if (request.method == "GET" && request.path == "/subscribe") {
    Subscription::start("news");
    return {202, "You will hear from us.\n"};
  }
  return {404, "No such page.\n"};
}

Response Server::log_in(const Request& request) {
  constexpr std::string_view kField = "user=";
  if (!request.body.starts_with(kField)) return {400, "Who are you? Send user=NAME.\n"};
  return {200, sessions_.remember(request.body.substr(kField.size())) + "\n"};
}

}  // namespace service
