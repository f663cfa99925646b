// SPDX-License-Identifier: Apache-2.0
//
// One thread does all input and output and never waits; what takes time is done by the workers, who hand their answers
// back to it.

#include "cli/http/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <thread>
#include <utility>

#include "cli/base/background_thread.h"
#include "cli/base/error.h"
#include "cli/http/http_connection.h"
#include "cli/http/http_listener.h"
#include "cli/http/http_service.h"

namespace leakwatch {

namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

constexpr std::size_t kRefusals = 32;                   // clients too many that are told so; others are just closed
constexpr std::chrono::milliseconds kAcceptPause{100};  // when no descriptor is left

// Of this process, of the machine, or of the kernel's memory: more will come back when somebody closes something.
bool is_exhaustion(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpAddress& address, std::vector<std::string> allowed_hosts, HttpHandler handler, HttpLimits limits,
       HttpWeigher weigher)
      : listener_(address),
        service_{address, std::move(allowed_hosts), std::move(handler), std::move(weigher), limits} {
    await_client();
    thread_ = background_thread("http", 0, [this] { run(); });
  }
  ~Impl() {
    service_.io.stop();
    thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const std::string& url() const { return listener_.url(); }

 private:
  void run();
  void await_client();
  void accept_client();
  void welcome(Descriptor client);

  const HttpListener listener_;
  HttpService service_;
  // A descriptor of the library's own: it closes what it watches.
  asio::posix::stream_descriptor knock_{service_.io, fcntl(listener_.descriptor(), F_DUPFD_CLOEXEC, 0)};
  asio::steady_timer pause_{service_.io};
  std::thread thread_;
};

void HttpServer::Impl::run() {
  for (;;) try {
      service_.io.run();
      return;
    } catch (const std::exception&) {
      // Memory ran out for one connection, which is gone with the handler that threw; the others are served on.
    }
}

void HttpServer::Impl::await_client() {
  knock_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const ErrorCode& error) {
    if (!error) accept_client();
  });
}

void HttpServer::Impl::accept_client() {
  Descriptor client = listener_.accept();
  if (!client.is_open() && is_exhaustion(errno)) {
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](const ErrorCode&) { await_client(); });
    return;
  }
  await_client();
  if (client.is_open()) welcome(std::move(client));
}

void HttpServer::Impl::welcome(Descriptor client) {
  const bool has_room = service_.clients < service_.limits.clients;
  if (!has_room && service_.refused >= kRefusals) return;
  HttpConnection::Socket socket(service_.io);
  ErrorCode error;
  socket.assign({listener_.family(), 0}, client.number(), error);
  if (error) return;  // nothing left to wait for it with
  client.release();
  socket.non_blocking(true);
  const auto connection =
      std::make_shared<HttpConnection>(service_, std::move(socket), has_room ? service_.clients : service_.refused);
  has_room ? connection->serve() : connection->refuse();
}

HttpServer::HttpServer(const HttpAddress& address, std::vector<std::string> allowed_hosts, HttpHandler handler,
                       HttpLimits limits, HttpWeigher weigher) try
    : impl_(std::make_unique<Impl>(address, std::move(allowed_hosts), std::move(handler), limits, std::move(weigher))) {
} catch (const Error&) {
  throw;
} catch (const std::runtime_error& error) {  // threads or descriptors ran out
  throw Error(fmt::format("cannot serve HTTP: {}; raise the limit (ulimit -n, ulimit -u)", error.what()));
}

HttpServer::~HttpServer() = default;

const std::string& HttpServer::url() const {
  return impl_->url();
}

}  // namespace leakwatch
