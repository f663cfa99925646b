// SPDX-License-Identifier: Apache-2.0

#include "socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace service {

namespace {

constexpr int kBacklog = 512;

sockaddr_in local_address(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// No peer may hold a thread for longer.
void limit_patience(const Socket& socket) {
  const timeval one_second{1, 0};
  setsockopt(socket.number(), SOL_SOCKET, SO_RCVTIMEO, &one_second, sizeof one_second);
  setsockopt(socket.number(), SOL_SOCKET, SO_SNDTIMEO, &one_second, sizeof one_second);
}

}  // namespace

Socket::~Socket() {
  if (is_open()) close(number_);
}

Socket::Socket(Socket&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

bool Socket::receive(std::string& text) const {
  std::array<char, 4096> bytes;
  const ssize_t got = recv(number_, bytes.data(), bytes.size(), 0);
  if (got > 0) text.append(bytes.data(), static_cast<std::size_t>(got));
  return got > 0;
}

bool Socket::send(const std::string& text) const {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t sent = ::send(number_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

Socket listen_on(std::uint16_t port) {
  Socket listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  setsockopt(listener.number(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = local_address(port);
  if (bind(listener.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.number(), kBacklog) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot listen on port " + std::to_string(port));
  return listener;
}

std::uint16_t port_of(const Socket& listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(listener.number(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

Socket accept_from(const Socket& listener) {
  Socket peer(accept4(listener.number(), nullptr, nullptr, SOCK_CLOEXEC));
  if (peer.is_open()) limit_patience(peer);
  return peer;
}

Socket connect_to(std::uint16_t port) {
  Socket peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = local_address(port);
  if (connect(peer.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Socket();
  limit_patience(peer);
  return peer;
}

}  // namespace service
