// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_wire.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <ctime>
#include <string_view>

#include "cli/http/http_own_answers.h"
#include "cli/http/http_target.h"

namespace leakwatch {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

bool is_form(const WireRequest& message) {
  const beast::string_view type = message[http::field::content_type];
  const beast::string_view media = type.substr(0, type.find_first_of("; \t"));
  return message.method() == http::verb::post && beast::iequals(media, "application/x-www-form-urlencoded");
}

// Why no handler gets to see the request, as far as its head tells.
std::optional<HttpResponse> refusal_of(const WireRequest& message) {
  const http::verb method = message.method();
  if (method != http::verb::get && method != http::verb::head && method != http::verb::post) {
    HttpResponse response = plain_answer(405, "method not allowed; GET, HEAD and POST are");
    response.headers.emplace_back("Allow", "GET, HEAD, POST");
    return response;
  }
  const std::size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) return plain_answer(400, "one Host header is needed");
  return std::nullopt;
}

// A line break in a value, which may have come with the request, would begin another header.
bool is_one_line(const std::pair<std::string, std::string>& header) {
  return header.second.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos;
}

}  // namespace

ReadRequest read_request(WireRequest message, const HttpAddress& address,
                         const std::vector<std::string>& allowed_hosts) {
  if (std::optional<HttpResponse> refusal = refusal_of(message)) return {{}, std::move(refusal)};
  std::optional<HttpTarget> target = parse_http_target(view(message.target()));
  if (!target) return {{}, plain_answer(400, "malformed request target")};
  for (const std::string_view host : {view(message[http::field::host]), std::string_view(target->authority)})
    if (!is_allowed_host(host, address, allowed_hosts))
      return {{},
              plain_answer(403, fmt::format("forbidden: this server does not answer to the name '{}'; start leakwatch "
                                            "with --http-host NAME to allow it",
                                            host))};
  if (const std::string clean = clean_path(target->escaped_path); clean != target->escaped_path)
    return {{}, moved_answer(target->query.empty() ? clean : fmt::format("{}?{}", clean, target->query))};
  const bool form_body = is_form(message);
  return {{std::string(view(message.method_string())), std::move(target->path), std::move(target->query),
           std::move(message.body()), form_body},
          std::nullopt};
}

std::optional<HttpResponse> complaint(const beast::error_code& error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return plain_answer(431, "request header too large");
  if (error == http::error::body_limit) return plain_answer(413, "request body too large");
  if (error.category() == http::make_error_code(http::error::bad_method).category())
    return plain_answer(400, "malformed request");
  return std::nullopt;
}

WireResponse wire_response(HttpResponse answer, const HttpFraming& framing) {
  if (!std::all_of(answer.headers.begin(), answer.headers.end(), is_one_line)) answer = internal_error_answer();
  WireResponse message;
  message.version(framing.version);
  message.result(static_cast<unsigned>(answer.status));
  message.set(http::field::date, fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr))));
  for (const auto& [name, value] : answer.headers) message.insert(name, value);
  message.keep_alive(framing.keep_alive);
  const bool may_have_body = answer.status >= 200 && answer.status != 204 && answer.status != 304;
  if (may_have_body) message.content_length(answer.body.size());
  if (may_have_body && !framing.is_head) message.body() = std::move(answer.body);
  return message;
}

}  // namespace leakwatch
