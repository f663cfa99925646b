// SPDX-License-Identifier: Apache-2.0
//
// Between the HTTP library's messages and ours.
#pragma once

#include <optional>
#include <string>
#include <utility>  // Boost 1.74 needs it and does not say so
#include <vector>

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "cli/http/http_address.h"
#include "cli/http/http_message.h"

namespace leakwatch {

using WireRequest = boost::beast::http::request<boost::beast::http::string_body>;
using WireResponse = boost::beast::http::response<boost::beast::http::string_body>;

// How a request wants its answer.
struct HttpFraming {
  unsigned version = 11;  // of HTTP: 10, 11
  bool keep_alive = false;
  bool is_head = false;
};

// A request for a handler, or what is said instead of asking one: a refusal, or where to ask.
struct ReadRequest {
  HttpRequest request;
  std::optional<HttpResponse> answer;
};
ReadRequest read_request(WireRequest message, const HttpAddress& address,
                         const std::vector<std::string>& allowed_hosts);

// What is wrong with a request that could not be received. Empty: the client has gone.
std::optional<HttpResponse> complaint(const boost::beast::error_code& error);

WireResponse wire_response(HttpResponse answer, const HttpFraming& framing);

}  // namespace leakwatch
