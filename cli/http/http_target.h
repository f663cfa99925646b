// SPDX-License-Identifier: Apache-2.0
//
// The second word of a request, and how bytes are escaped in it (RFC 3986, RFC 9112 section 3.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace leakwatch {

enum class Plus { kIsPlus, kIsBlank };  // in a path; in a query or a form

// Empty when an escape is none ("%", "%4", "%zz").
std::optional<std::string> percent_decode(std::string_view text, Plus plus);

struct HttpTarget {
  std::string path;          // decoded, begins with a slash
  std::string escaped_path;  // the same as it came
  std::string query;         // as it came
  std::string authority;     // of the absolute form ("http://localhost:6060/"), else empty
};

// Empty when it is neither a path nor a URI, or has a bad escape in its path.
std::optional<HttpTarget> parse_http_target(std::string_view text);

// The shortest way to write a path: without empty parts and "." and with every ".." gone one up. What is escaped stays
// as it is. Go's servers send whoever asks for another one to it.
std::string clean_path(std::string_view path);

}  // namespace leakwatch
