// SPDX-License-Identifier: Apache-2.0
//
// A socket and the little that the service and its load generator do with one. Everything stays on 127.0.0.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace service {

class Socket {
 public:
  explicit Socket(int number = -1) : number_(number) {}
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

  // Adds what has come to `text`; false at the end, on an error and after a second of silence.
  bool receive(std::string& text) const;
  bool send(const std::string& text) const;

 private:
  int number_;
};

// Port 0: any that is free. Throws std::system_error.
Socket listen_on(std::uint16_t port);
std::uint16_t port_of(const Socket& listener);
// Not open once the listener was shut down.
Socket accept_from(const Socket& listener);
// Not open when nobody listens.
Socket connect_to(std::uint16_t port);

}  // namespace service
