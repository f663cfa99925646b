// SPDX-License-Identifier: Apache-2.0
//
// A connection goes round: await_request -> receive_head -> receive_body -> ask a worker (-> delay -> ask again) ->
// send -> await_request. While a worker or the clock has the word, it watches for the client to leave. All of this runs
// on the I/O thread, so nothing here needs a lock, but for the flags that a worker reads.

#include "cli/http/http_connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <string_view>

#include "cli/http/http_own_answers.h"

namespace leakwatch {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kLinger{1'000};    // for the client to take the last answer, once it is out
constexpr std::size_t kReadBytes = 4096;  // at once, of what nobody needs yet
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

HttpAnswer answer_or_fail(const std::function<HttpAnswer()>& handler) {
  try {
    return handler();
  } catch (...) {  // whatever it was, the others are still to be served
    return {internal_error_answer(), {}, {}};
  }
}

}  // namespace

HttpConnection::HttpConnection(HttpService& service, Socket socket, std::size_t& places)
    : service_(service),
      place_(places),
      socket_(std::move(socket)),
      timer_(service.io),
      buffer_(service.limits.header_bytes + kReadBytes) {}

// A handler for an operation of the library's: goes on with `next`, or closes when it failed.
auto HttpConnection::then(Action next) {
  return [self = shared_from_this(), next](const ErrorCode& error, std::size_t = 0) {
    if (error || !self->socket_.is_open()) return self->close();
    (self.get()->*next)();
  };
}

// The same for what reads a request, where the client may be told what was wrong.
auto HttpConnection::received(Action next) {
  return [self = shared_from_this(), next](const ErrorCode& error, std::size_t) {
    if (!self->socket_.is_open()) return;
    if (error) return self->not_received(error);
    (self.get()->*next)();
  };
}

void HttpConnection::serve() {
  await_request(service_.limits.receive);
}

void HttpConnection::refuse() {
  send(busy_answer("too many connections; try again later"));
}

void HttpConnection::await_request(Milliseconds patience) {
  if (buffer_.size() > 0) return receive_head();
  set_timer(patience, &HttpConnection::close);
  socket_.async_wait(Socket::wait_read, then(&HttpConnection::receive_head));
}

void HttpConnection::receive_head() {
  set_timer(service_.limits.receive, &HttpConnection::close);
  framing_ = {};
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(service_.limits.header_bytes));
  parser_->body_limit(service_.limits.body_bytes);
  http::async_read_header(socket_, buffer_, *parser_, received(&HttpConnection::head_received));
}

void HttpConnection::head_received() {
  const WireRequest& request = parser_->get();
  const beast::string_view expectation = request[http::field::expect];
  if (expectation.empty() || request.version() < 11) return receive_body();
  if (!beast::iequals(expectation, "100-continue")) return send(plain_answer(417, "unknown expectation"));
  asio::async_write(socket_, asio::buffer(kContinue), then(&HttpConnection::receive_body));
}

void HttpConnection::receive_body() {
  http::async_read(socket_, buffer_, *parser_, received(&HttpConnection::request_received));
}

void HttpConnection::request_received() {
  clear_timer();
  WireRequest message = parser_->release();
  parser_.reset();
  framing_ = {message.version(), message.keep_alive(), message.method() == http::verb::head};
  ReadRequest read = read_request(std::move(message), service_.address, service_.allowed_hosts);
  if (read.answer) return send(*std::move(read.answer));
  watching_ = true;
  watch();
  work_ = service_.weigher ? service_.weigher(read.request) : HttpWork::kMuch;
  ask([this, request = std::move(read.request)] { return service_.handler(request); });
}

// What follows in the stream cannot be told from the rest of the bad request: there is no next one.
void HttpConnection::not_received(const ErrorCode& error) {
  std::optional<HttpResponse> answer = complaint(error);
  if (!answer) return close();
  send(*std::move(answer));
}

// The connection goes along to the worker and comes back: it is never destroyed there.
void HttpConnection::ask(std::function<HttpAnswer()> handler) {
  asked_at_ = Clock::now();
  service_.workers.add(work_, [self = shared_from_this(), handler = std::move(handler)]() mutable {
    std::optional<HttpAnswer> answer;
    if (self->is_wanted()) answer = answer_or_fail(handler);
    handler = nullptr;
    asio::io_context& io = self->service_.io;  // before `self` moves on
    asio::post(io, [self = std::move(self), answer = std::move(answer)]() mutable {
      HttpConnection& connection = *self;
      connection.answered(std::move(answer));
    });
  });
}

void HttpConnection::ask_later() {
  ask([later = std::exchange(later_, nullptr)] { return HttpAnswer{later(), {}, {}}; });
}

bool HttpConnection::is_wanted() const {
  return !gone_ && !(half_closed_ && Clock::now() - asked_at_ >= service_.limits.half_closed);
}

void HttpConnection::answered(std::optional<HttpAnswer> answer) {
  if (!answer || !socket_.is_open()) return close();
  if (!answer->later) return send(std::move(answer->now));
  if (half_closed_) return close();
  if (service_.delayed >= service_.limits.delayed)
    return send(busy_answer("too many delayed answers; try again later"));
  delayed_.emplace(service_.delayed);
  later_ = std::move(answer->later);
  set_timer(answer->delay, &HttpConnection::ask_later);
}

void HttpConnection::watch() {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const ErrorCode& error) {
    if (!error && self->watching_) self->look();
  });
}

// What the client sends before it has its answer belongs to its next request. One that sends more than there is room
// for is not watched any longer.
void HttpConnection::look() {
  const std::size_t room = std::min(buffer_.max_size() - buffer_.size(), kReadBytes);
  if (room == 0) return;
  beast::error_code error;
  buffer_.commit(socket_.read_some(buffer_.prepare(room), error));
  if (!error || error == asio::error::would_block) return watch();
  if (error != asio::error::eof || delayed_) return close();
  half_closed_ = true;
}

void HttpConnection::send(HttpResponse answer) {
  if (watching_) socket_.cancel();
  watching_ = false;
  delayed_.reset();
  response_.emplace(wire_response(std::move(answer), framing_));
  serializer_.emplace(*response_);
  send_more();
}

void HttpConnection::send_more() {
  set_timer(service_.limits.send, &HttpConnection::close);
  http::async_write_some(socket_, *serializer_, then(&HttpConnection::sent));
}

void HttpConnection::sent() {
  if (!serializer_->is_done()) return send_more();
  serializer_.reset();
  response_.reset();
  if (framing_.keep_alive) return await_request(service_.limits.idle);
  // To close while something has not been read would take the answer back from a client that has not seen it yet.
  beast::error_code ignored;  // it may be gone already
  socket_.shutdown(Socket::shutdown_send, ignored);
  set_timer(kLinger, &HttpConnection::close);
  linger();
}

void HttpConnection::linger() {
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(kReadBytes), then(&HttpConnection::linger));
}

void HttpConnection::close() {
  clear_timer();
  gone_ = true;
  watching_ = false;
  later_ = nullptr;
  delayed_.reset();
  beast::error_code ignored;
  socket_.close(ignored);
}

void HttpConnection::set_timer(Milliseconds delay, Action action) {
  timer_.expires_after(delay);
  timer_.async_wait([self = shared_from_this(), turn = ++timer_turn_, action](const ErrorCode& error) {
    // It may have struck, and be about to be told so, when it was set anew.
    if (!error && turn == self->timer_turn_) (self.get()->*action)();
  });
}

void HttpConnection::clear_timer() {
  ++timer_turn_;
  timer_.cancel();
}

}  // namespace leakwatch
