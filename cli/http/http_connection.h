// SPDX-License-Identifier: Apache-2.0
//
// One client, from its first byte to its last. A connection keeps itself alive while something is under way.
#pragma once

#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "cli/http/http_message.h"
#include "cli/http/http_service.h"
#include "cli/http/http_wire.h"

namespace leakwatch {

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  // `places` counts it while it lives. The socket does not block.
  HttpConnection(HttpService& service, Socket socket, std::size_t& places);

  void serve();
  void refuse();  // says that there are too many, and closes

 private:
  using Action = void (HttpConnection::*)();
  using ErrorCode = boost::beast::error_code;
  using Body = boost::beast::http::string_body;

  void await_request(std::chrono::milliseconds patience);
  void receive_head();
  void head_received();
  void receive_body();
  void request_received();
  void not_received(const ErrorCode& error);

  void ask(std::function<HttpAnswer()> handler);
  void ask_later();
  void answered(std::optional<HttpAnswer> answer);
  bool is_wanted() const;
  void watch();
  void look();

  void send(HttpResponse answer);
  void send_more();
  void sent();
  void linger();
  void close();

  void set_timer(std::chrono::milliseconds delay, Action action);
  void clear_timer();
  auto then(Action next);
  auto received(Action next);

  HttpService& service_;
  const HttpPlace place_;
  Socket socket_;
  boost::asio::steady_timer timer_;
  std::uint64_t timer_turn_ = 0;

  boost::beast::flat_buffer buffer_;  // received and not yet read
  std::optional<boost::beast::http::request_parser<Body>> parser_;
  HttpFraming framing_;

  bool watching_ = false;
  HttpWork work_ = HttpWork::kMuch;
  std::function<HttpResponse()> later_;  // while its time has not come
  std::optional<HttpPlace> delayed_;
  std::chrono::steady_clock::time_point asked_at_;
  std::atomic<bool> half_closed_ = false, gone_ = false;  // a worker reads these

  std::optional<WireResponse> response_;
  std::optional<boost::beast::http::response_serializer<Body>> serializer_;
};

}  // namespace leakwatch
