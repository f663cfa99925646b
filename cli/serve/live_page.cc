// SPDX-License-Identifier: Apache-2.0
//
// See the header. Nothing of the target's is ever put into HTML here: the page gets it as JSON, and shows it as text.

#include "cli/serve/live_page.h"

#include <charconv>
#include <string>
#include <utility>

namespace leakwatch {

namespace {

HttpResponse response(std::string content_type, std::string body) {
  return {.status = 200,
          .headers = {{"Content-Type", std::move(content_type)},
                      {"Cache-Control", "no-store"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}},
          .body = std::move(body)};
}

HttpResponse page() {
  HttpResponse page = response("text/html; charset=utf-8", std::string(kLivePageHtml));
  page.headers.emplace_back("Content-Security-Policy", kLivePagePolicy);
  return page;
}

HttpResponse method_not_allowed() {
  HttpResponse refusal = response("text/plain; charset=utf-8", "Method Not Allowed\n");
  refusal.status = 405;
  refusal.headers.emplace_back("Allow", "GET, HEAD");
  return refusal;
}

// Zero for what is no number: then everything is told.
std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && rest == end ? number : 0;
}

}  // namespace

bool LivePage::is_much_work(std::string_view path) {
  return path == "/growth.json";
}

std::optional<HttpAnswer> LivePage::answer(const HttpRequest& request) {
  if (request.path != "/" && request.path != "/live.json" && request.path != "/growth.json") return std::nullopt;
  HttpAnswer answer;
  if (request.method != "GET" && request.method != "HEAD") {
    answer.now = method_not_allowed();
  } else if (request.path == "/live.json") {
    answer.now = live(request);
  } else if (request.path == "/growth.json") {
    answer.now = response(kJsonContentType, growth_json(*growth_.report()));
  } else {
    answer.now = page();
  }
  return answer;
}

HttpResponse LivePage::live(const HttpRequest& request) const {
  const std::uint64_t after = number_of(parameter(request, "after"));
  return response(kJsonContentType, live_json(history_.view(after), program_));
}

}  // namespace leakwatch
