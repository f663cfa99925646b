// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_listener.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/base/error.h"

namespace leakwatch {

namespace {

constexpr int kBacklog = 128;

struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
    sockaddr_un file;
  };
  socklen_t size = 0;
  SocketAddress() : file{} {}  // the longest
};

SocketAddress internet_address(const HttpAddress& address) {
  SocketAddress result;
  if (inet_pton(AF_INET, address.host.c_str(), &result.four.sin_addr) == 1) {
    result.four.sin_family = AF_INET;
    result.four.sin_port = htons(address.port);
    result.size = sizeof result.four;
  } else if (inet_pton(AF_INET6, address.host.c_str(), &result.six.sin6_addr) == 1) {
    result.six.sin6_family = AF_INET6;
    result.six.sin6_port = htons(address.port);
    result.size = sizeof result.six;
  } else {
    throw Error(fmt::format("'{}' is not an IP address to listen on", address.host));
  }
  return result;
}

SocketAddress file_address(const std::string& path) {
  SocketAddress result;
  if (path.size() >= sizeof result.file.sun_path)
    throw Error(fmt::format("cannot listen on unix:{}: the path of a socket has at most {} bytes; choose a shorter one",
                            path, sizeof result.file.sun_path - 1));
  result.file.sun_family = AF_UNIX;
  std::memcpy(result.file.sun_path, path.c_str(), path.size() + 1);
  result.size = sizeof result.file;
  return result;
}

Descriptor make_socket(int family) {
  Descriptor result(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!result.is_open()) throw Error(fmt::format("cannot make a socket for HTTP: {}", std::strerror(errno)));
  return result;
}

std::string text_of(const std::string& host, unsigned port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

// What went wrong at bind or listen, and what to do about it.
Error cannot_listen(const HttpAddress& address, int error) {
  const std::string head = fmt::format("cannot listen on {}: ", text_of(address.host, address.port));
  const unsigned other = address.port < 65535 ? address.port + 1u : 6060u;
  switch (error) {
    case EADDRINUSE:
      return Error(fmt::format("{}another process listens there; try --http {}, or port 0 for any free one", head,
                               text_of(address.host, other)));
    case EACCES:
      return Error(fmt::format("{}ports below 1024 need privileges (CAP_NET_BIND_SERVICE); try --http {}", head,
                               text_of(address.host, 6060)));
    case EADDRNOTAVAIL:
      return Error(fmt::format("{}this machine has no such address; 'ip address' lists those it has, and {} means all",
                               head, text_of("0.0.0.0", address.port)));
    default:
      return Error(fmt::format("{}{}; choose another address", head, std::strerror(error)));
  }
}

// A file is in the way: removes it if it is a socket that nobody listens on any longer.
void clear_path(const std::string& path, const SocketAddress& address) {
  const std::string head = fmt::format("cannot listen on unix:{}: ", path);
  struct stat file {};
  if (lstat(path.c_str(), &file) != 0) return;  // gone meanwhile
  if (!S_ISSOCK(file.st_mode))
    throw Error(head + "there is a file that is not a socket; remove it or choose another path");
  const Descriptor visitor = make_socket(AF_UNIX);
  const bool is_answered = connect(visitor.number(), &address.any, address.size) == 0;
  const int error = errno;
  if (is_answered || error == EAGAIN || error == EPROTOTYPE)
    throw Error(head + "another process listens there; choose another path");
  if (error != ECONNREFUSED && error != ENOENT)
    throw Error(fmt::format("{}there is a socket that cannot be tried: {}; remove it or choose another path", head,
                            std::strerror(error)));
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    throw Error(fmt::format("{}nobody listens on the socket there, but it cannot be removed: {}; choose another path",
                            head, std::strerror(errno)));
}

}  // namespace

HttpListener::HttpListener(const HttpAddress& address) {
  if (address.unix_path.empty())
    listen_at_port(address);
  else
    listen_at_path(address.unix_path);
}

HttpListener::~HttpListener() {
  struct stat file {};
  if (!path_.empty() && lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_)
    unlink(path_.c_str());
}

void HttpListener::listen_at_port(const HttpAddress& address) {
  SocketAddress where = internet_address(address);
  family_ = where.any.sa_family;
  socket_ = make_socket(family_);
  const int on = 1;  // connections of a run before, in TIME_WAIT, are nobody who listens
  setsockopt(socket_.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(socket_.number(), &where.any, where.size) != 0 || listen(socket_.number(), kBacklog) != 0 ||
      getsockname(socket_.number(), &where.any, &where.size) != 0)
    throw cannot_listen(address, errno);
  const in_port_t port = family_ == AF_INET ? where.four.sin_port : where.six.sin6_port;
  url_ = fmt::format("http://{}/", text_of(address.host, ntohs(port)));
}

void HttpListener::listen_at_path(const std::string& path) {
  const SocketAddress where = file_address(path);
  family_ = AF_UNIX;
  socket_ = make_socket(family_);
  int bound = bind(socket_.number(), &where.any, where.size);
  if (bound != 0 && errno == EADDRINUSE) {
    clear_path(path, where);
    bound = bind(socket_.number(), &where.any, where.size);
  }
  struct stat file {};
  // Nobody can connect before listen: the mode is right in time.
  if (bound != 0 || lstat(path.c_str(), &file) != 0 || chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 ||
      listen(socket_.number(), kBacklog) != 0)
    throw Error(fmt::format("cannot listen on unix:{}: {}; choose a path in a folder where you may create files", path,
                            std::strerror(errno)));
  path_ = path;
  device_ = file.st_dev;
  inode_ = file.st_ino;
  url_ = "unix:" + path;
}

Descriptor HttpListener::accept() const {
  Descriptor client(accept4(socket_.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const int on = 1;  // the last piece of an answer does not wait for the acknowledgement of the one before
  if (client.is_open() && family_ != AF_UNIX) setsockopt(client.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return client;
}

}  // namespace leakwatch
