// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_message.h"

#include <algorithm>

#include "cli/http/http_target.h"

namespace leakwatch {

namespace {

// The first value of that name among pairs such as "a=1&b=2". As Go reads them: a pair with a bad escape, or with a
// semicolon, which others take for a separator, is no pair at all.
std::optional<std::string> first_value(std::string_view pairs, std::string_view name) {
  while (!pairs.empty()) {
    const std::string_view pair = pairs.substr(0, pairs.find('&'));
    pairs.remove_prefix(std::min(pair.size() + 1, pairs.size()));
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::optional<std::string> key = percent_decode(pair.substr(0, equals), Plus::kIsBlank);
    if (key != name) continue;
    std::optional<std::string> value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), Plus::kIsBlank);
    if (value) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string parameter(const HttpRequest& request, std::string_view name) {
  if (request.form_body)
    if (std::optional<std::string> value = first_value(request.body, name)) return *std::move(value);
  return first_value(request.query, name).value_or("");
}

}  // namespace leakwatch
