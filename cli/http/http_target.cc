// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_target.h"

#include <strings.h>

#include <algorithm>

namespace leakwatch {

namespace {

// -1: not a hexadecimal digit.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The length of "http://" or "https://" at the beginning, 0 when there is neither.
std::size_t scheme_length(std::string_view text) {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")})
    if (text.size() >= scheme.size() && strncasecmp(text.data(), scheme.data(), scheme.size()) == 0)
      return scheme.size();
  return 0;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, Plus plus) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kIsBlank) {
      result += ' ';
    } else if (text[i] != '%') {
      result += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      result += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return result;
}

std::optional<HttpTarget> parse_http_target(std::string_view text) {
  HttpTarget target;
  if (const std::size_t scheme = scheme_length(text)) {
    const std::size_t end = std::min(text.find_first_of("/?", scheme), text.size());
    target.authority = text.substr(scheme, end - scheme);
    text.remove_prefix(end);
    if (target.authority.empty()) return std::nullopt;
  }
  const std::size_t path_end = std::min(text.find('?'), text.size());
  if (path_end < text.size()) target.query = text.substr(path_end + 1);
  std::string_view path = text.substr(0, path_end);
  if (path.empty() && !target.authority.empty()) path = "/";
  std::optional<std::string> decoded = percent_decode(path, Plus::kIsPlus);
  if (!path.starts_with('/') || !decoded) return std::nullopt;
  target.path = *std::move(decoded);
  target.escaped_path = path;
  return target;
}

std::string clean_path(std::string_view path) {
  const bool ends_with_slash = path.ends_with('/');
  std::string clean;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      clean.erase(std::min(clean.rfind('/'), clean.size()));
    } else {
      clean.append("/").append(part);
    }
  }
  if (clean.empty() || ends_with_slash) clean += '/';
  return clean;
}

}  // namespace leakwatch
