// SPDX-License-Identifier: Apache-2.0
//
// See the header. Each endpoint knows its own paths; what nobody knows is not found.

#include "cli/serve/http_sink.h"

#include <optional>
#include <utility>

namespace leakwatch {

namespace {

HttpResponse plain_text(int status, std::string body) {
  return {
      status, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}}, std::move(body)};
}

HttpResponse metrics_answer(const HttpRequest& request, ProfileSource& source, Metrics& metrics) {
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse refusal = plain_text(405, "only GET and HEAD\n");
    refusal.headers.emplace_back("Allow", "GET, HEAD");
    return refusal;
  }
  HttpResponse response = plain_text(200, metrics.text(source.totals(), own_usage()));
  response.headers[0].second = kMetricsContentType;
  return response;
}

}  // namespace

HttpSink::HttpSink(const HttpAddress& address, std::vector<std::string> hosts, ProfileSource& source,
                   const History& history, pid_t pid)
    : source_(source),
      page_(source, history, pid),
      pprof_(source, history),
      server_(
          address, std::move(hosts), [this](const HttpRequest& request) { return answer(request); }, {}, weigh) {}

HttpWork HttpSink::weigh(const HttpRequest& request) {
  return LivePage::is_much_work(request.path) || PprofEndpoints::is_much_work(request.path) ? HttpWork::kMuch
                                                                                            : HttpWork::kLittle;
}

HttpAnswer HttpSink::answer(const HttpRequest& request) {
  if (request.path == "/metrics") return {metrics_answer(request, source_, metrics_), {}, {}};
  if (std::optional<HttpAnswer> page = page_.answer(request)) return *std::move(page);
  if (std::optional<HttpAnswer> profile = pprof_.answer(request)) return *std::move(profile);
  return {plain_text(404, "404 page not found\n"), {}, {}};
}

}  // namespace leakwatch
