// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_own_answers.h"

#include <fmt/format.h>

namespace leakwatch {

namespace {

// What may stand in a header: of a path that came as it is.
std::string visible_ascii(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    byte > ' ' && byte < 0x7f ? result += c : result += fmt::format("%{:02x}", byte);
  }
  return result;
}

std::string as_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace

HttpResponse plain_answer(int status, std::string_view text) {
  return {status,
          {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}},
          fmt::format("{}\n", text)};
}

HttpResponse busy_answer(std::string_view text) {
  HttpResponse response = plain_answer(503, text);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse moved_answer(std::string_view location) {
  const std::string to = visible_ascii(location);
  return {301,
          {{"Content-Type", "text/html; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}, {"Location", to}},
          fmt::format("<a href=\"{}\">Moved Permanently</a>.\n\n", as_html(to))};
}

HttpResponse internal_error_answer() {
  return plain_answer(500, "internal error");
}

}  // namespace leakwatch
