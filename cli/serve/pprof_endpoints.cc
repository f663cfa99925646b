// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/serve/pprof_endpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include "cli/base/error.h"
#include "cli/base/gzip.h"
#include "cli/base/quantity.h"
#include "cli/http/http_own_answers.h"
#include "cli/profile/empty_profile.h"
#include "cli/profile/profile_difference.h"
#include "cli/profile/symbol_text.h"
#include "cli/serve/pprof_index.h"

namespace leakwatch {

namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kRoot = "/debug/pprof/";
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kHtml = "text/html; charset=utf-8";

HttpResponse response(int status, const char* type, std::string body, const Headers& more = {}) {
  HttpResponse response{status, {{"Content-Type", type}, {"X-Content-Type-Options", "nosniff"}}, std::move(body)};
  response.headers.insert(response.headers.end(), more.begin(), more.end());
  return response;
}

HttpAnswer at_once(HttpResponse response) {
  return {std::move(response), {}, {}};
}

// `go tool pprof` shows the text of an error that has this header.
HttpResponse refusal(int status, std::string_view text, Headers more = {}) {
  more.emplace_back("X-Go-Pprof", "1");
  return response(status, kText, std::string(text) + '\n', more);
}

HttpResponse not_yet() {
  return refusal(503, "the program has not called back yet: there is nothing to profile", {{"Retry-After", "1"}});
}

HttpResponse redirect_to_root(const HttpRequest& request) {
  return moved_answer(std::string(kRoot) + (request.query.empty() ? "" : "?" + request.query));
}

HttpResponse download(const std::string& name, const std::string& profile) {
  return response(200, "application/octet-stream", gzip(profile, Compression::kFast),
                  {{"Content-Disposition", fmt::format("attachment; filename=\"{}\"", name)}});
}

struct Number {
  std::int64_t value = 0;  // of what is too large: the largest
  bool is_good = false;
};

Number number(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number number;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number.value);
  if (stopped != end || error == std::errc::invalid_argument) return {};
  number.is_good = error == std::errc();
  using Limits = std::numeric_limits<std::int64_t>;
  if (!number.is_good) number.value = text.starts_with('-') ? Limits::min() : Limits::max();
  return number;
}

std::int64_t debug_level(const HttpRequest& request) {
  return number(parameter(request, "debug")).value;
}

// Far more than anybody waits, and no clock overflows.
std::chrono::milliseconds wait(std::int64_t seconds) {
  constexpr std::int64_t kLongest = 1'000'000'000;
  return std::chrono::seconds(std::min(seconds, kLongest));
}

std::int64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

HttpResponse cpu_profile(std::int64_t begun_ns) {
  return download("profile", build_profile(cpu_content(begun_ns, now_ns() - begun_ns), {}));
}

// Takes its time although it will be empty: scrapers ask for the next one as soon as they have this one.
HttpAnswer cpu_profile_after(const HttpRequest& request) {
  constexpr std::int64_t kDefaultSeconds = 30;
  const Number seconds = number(parameter(request, "seconds"));
  const bool is_given = seconds.is_good && seconds.value > 0;
  return {{}, wait(is_given ? seconds.value : kDefaultSeconds), [begun = now_ns()] { return cpu_profile(begun); }};
}

}  // namespace

bool PprofEndpoints::is_much_work(std::string_view path) {
  if (!path.starts_with(kRoot)) return false;
  const std::string_view name = path.substr(kRoot.size());
  return name == "symbol" || is_profile_name(name);
}

std::optional<HttpAnswer> PprofEndpoints::answer(const HttpRequest& request) {
  const bool is_root_without_slash = request.path == kRoot.substr(0, kRoot.size() - 1);
  if (!is_root_without_slash && !request.path.starts_with(kRoot)) return {};
  const std::string name = is_root_without_slash ? "" : request.path.substr(kRoot.size());
  const bool takes_post = name == "symbol";
  const bool is_allowed = request.method == "GET" || request.method == "HEAD";
  if (!is_allowed && !(takes_post && request.method == "POST")) {
    const std::string allowed = takes_post ? "GET, HEAD, POST" : "GET, HEAD";
    return at_once(response(405, kText, "Method Not Allowed\n", {{"Allow", allowed}}));
  }
  if (is_root_without_slash) return at_once(redirect_to_root(request));
  return answer_to(request, name);
}

HttpAnswer PprofEndpoints::answer_to(const HttpRequest& request, std::string_view name) {
  if (name.empty()) return at_once(response(200, kHtml, pprof_index(source_.totals())));
  if (name == "cmdline") return at_once(command_line());
  if (name == "profile") return cpu_profile_after(request);
  if (name == "symbol") return at_once(symbol(request));
  if (!is_profile_name(name)) return at_once(refusal(404, "Unknown profile"));
  return named_profile(request, std::string(name));
}

HttpResponse PprofEndpoints::command_line() const {
  std::string joined;
  for (const std::string& word : source_.command()) joined += (joined.empty() ? "" : std::string(1, '\0')) + word;
  return response(200, kText, joined);
}

HttpResponse PprofEndpoints::symbol(const HttpRequest& request) {
  const std::string& addresses = request.method == "POST" ? request.body : request.query;
  const std::shared_ptr<const KnownModules> known = known_modules();
  if (!known) return response(200, kText, symbol_text({}, {}, {}));
  return response(200, kText, symbol_text(addresses, known->modules, known->symbols));
}

HttpAnswer PprofEndpoints::named_profile(const HttpRequest& request, const std::string& name) {
  if (!parameter(request, "seconds").empty()) return delta(request, name);
  if (!parameter(request, "since").empty()) return at_once(since(request, name));
  const std::optional<ServedProfile> profile = look(name);
  if (!profile) return at_once(not_yet());
  const std::int64_t debug = debug_level(request);
  if (debug != 0) return at_once(response(200, kText, profile_text(*profile, debug)));
  return at_once(download(name, build_profile(profile->content, profile->symbols, kServedLimits)));
}

HttpAnswer PprofEndpoints::delta(const HttpRequest& request, const std::string& name) {
  const Number seconds = number(parameter(request, "seconds"));
  if (!seconds.is_good || seconds.value <= 0) {
    return at_once(refusal(400, "invalid value for \"seconds\" - must be a positive integer"));
  }
  if (debug_level(request) != 0) return at_once(refusal(400, "seconds and debug params are incompatible"));
  std::optional<ServedProfile> before = look(name);
  if (!before) return at_once(not_yet());
  if (before->heap) {  // of a large one the content is as large again, and soon made
    return {{},
            wait(seconds.value),
            [this, name, moment = Moment<HeapSnapshot>{before->heap, before->symbols, before->program}] {
              return delta_since(served_heap(name, moment));
            }};
  }
  return {{}, wait(seconds.value), [this, before = std::make_shared<const ServedProfile>(*std::move(before))] {
            return delta_since(*before);
          }};
}

HttpResponse PprofEndpoints::since(const HttpRequest& request, const std::string& name) {
  if (name != "heap" && name != "allocs") return refusal(400, "\"since\" is for heap and allocs only");
  if (debug_level(request) != 0) return refusal(400, "since and debug params are incompatible");
  const std::string text = parameter(request, "since");
  std::chrono::milliseconds age{0};
  try {
    if (text != "start") age = parse_duration(text);
  } catch (const Error&) {
    return refusal(400, "invalid value for \"since\" - must be \"start\" or a time such as 5m");
  }
  Moment<HeapSnapshot> before =
      text == "start" ? history_.at_start() : history_.before(std::chrono::ceil<std::chrono::seconds>(age));
  return before.snapshot ? delta_since(served_heap(name, std::move(before))) : not_yet();
}

HttpResponse PprofEndpoints::delta_since(const ServedProfile& before) {
  std::optional<ServedProfile> after = look(before.name);
  if (!after) return not_yet();
  if (after->program == before.program) {
    subtract(after->content, before.content);
  } else {
    after->content.duration_ns = after->content.time_ns - before.content.time_ns;
    after->content.comments.emplace_back(
        "The process executed another program meanwhile: this is all of that one, which began at zero.");
  }
  return download(before.name + "-delta", build_profile(after->content, after->symbols, kServedLimits));
}

std::optional<ServedProfile> PprofEndpoints::look(std::string_view name) {
  std::optional<ServedProfile> profile = look_at(source_, name);
  if (!profile || profile->modules() == nullptr) return profile;
  auto known = std::make_shared<const KnownModules>(KnownModules{*profile->modules(), profile->symbols});
  const std::lock_guard lock(mutex_);
  known_modules_ = std::move(known);
  return profile;
}

std::shared_ptr<const PprofEndpoints::KnownModules> PprofEndpoints::known_modules() {
  {
    const std::lock_guard lock(mutex_);
    if (known_modules_) return known_modules_;
  }
  look("heap");
  const std::lock_guard lock(mutex_);
  return known_modules_;
}

}  // namespace leakwatch
