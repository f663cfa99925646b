// SPDX-License-Identifier: Apache-2.0
//
// HTTP as the endpoints see it: values, without a socket or a library.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leakwatch {

struct HttpRequest {
  std::string method;  // "GET", "HEAD", "POST"
  std::string path;    // decoded, without the query: "/debug/pprof/heap"
  std::string query;   // as it came, without the question mark
  std::string body;
  bool form_body = false;  // a POST of application/x-www-form-urlencoded
};

// The first parameter of that name, decoded; of a form's body before the query, as Go's FormValue has it. Empty when
// there is none.
std::string parameter(const HttpRequest& request, std::string_view name);

struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Type and such; lengths are the server's affair
  std::string body;
};

// What a handler says: an answer, or that one will be there after a time. `later` is called then, on any thread, unless
// the client has gone away meanwhile.
struct HttpAnswer {
  HttpResponse now;
  std::chrono::milliseconds delay{0};
  std::function<HttpResponse()> later;  // empty: `now` is the answer
};

using HttpHandler = std::function<HttpAnswer(const HttpRequest&)>;

// How much an answer takes. kLittle: what is known already or learnt in an instant.
enum class HttpWork { kLittle, kMuch };
inline constexpr std::size_t kHttpWorks = 2;
// Asked before the handler, on the thread that serves everybody: must not wait, nor throw.
using HttpWeigher = std::function<HttpWork(const HttpRequest&)>;

}  // namespace leakwatch
