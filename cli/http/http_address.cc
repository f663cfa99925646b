// SPDX-License-Identifier: Apache-2.0

#include "cli/http/http_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <optional>

#include "cli/base/error.h"

namespace leakwatch {

namespace {

enum class Reach { kNoAddress, kLoopback, kElsewhere };

// Of an IP address in its usual form.
Reach reach_of(const std::string& host) {
  in_addr four{};
  in6_addr six{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1)
    return ntohl(four.s_addr) >> 24 == 127 ? Reach::kLoopback : Reach::kElsewhere;
  if (inet_pton(AF_INET6, host.c_str(), &six) != 1) return Reach::kNoAddress;
  const bool is_mapped_loopback = IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&six) || is_mapped_loopback ? Reach::kLoopback : Reach::kElsewhere;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

struct HostAndPort {
  std::string_view host;  // without brackets
  std::string_view port;  // empty when there is none
};

// "name", "name:80", "[::1]", "[::1]:80". Empty when the brackets or what follows them make no sense.
std::optional<HostAndPort> split_host(std::string_view text) {
  std::size_t end = std::min(text.find(':'), text.size());
  HostAndPort result{text.substr(0, end), {}};
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    result.host = text.substr(1, end - 1);
    if (result.host.find(':') == std::string_view::npos) return std::nullopt;
    ++end;
  }
  text.remove_prefix(end);
  if (text.empty()) return result;
  if (text[0] != ':') return std::nullopt;
  result.port = text.substr(1);
  return result;
}

// What a Host header names: without the port and the dot of the DNS root. Empty when it makes no sense.
std::optional<std::string> host_name(std::string_view text) {
  const std::optional<HostAndPort> parts = split_host(text);
  if (!parts || (!parts->port.empty() && !parse_port(parts->port))) return std::nullopt;
  std::string name(parts->host);
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  return name;
}

bool is_localhost(std::string_view name) {
  constexpr std::string_view kBelow = ".localhost";
  return same_name(name, "localhost") ||
         (name.size() > kBelow.size() && same_name(name.substr(name.size() - kBelow.size()), kBelow));
}

// As it calls itself, or the first part of that. A longer name of which ours is the beginning may be anybody's.
bool is_this_machine(std::string_view name) {
  char own[HOST_NAME_MAX + 1] = {};
  if (gethostname(own, sizeof own - 1) != 0) return false;
  const std::string_view whole = own;
  return same_name(name, whole) || same_name(name, whole.substr(0, whole.find('.')));
}

Error not_understood(std::string_view text) {
  return Error(
      fmt::format("'{}' is not an address to serve HTTP at. Accepted are a port (6060), an IP address and a port "
                  "(127.0.0.1:6060, [::1]:6060, 0.0.0.0:6060 for every network), localhost:6060, and a socket file "
                  "(unix:/run/leakwatch.sock).",
                  text));
}

}  // namespace

HttpAddress parse_http_address(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  HttpAddress address;
  if (text.starts_with(kUnix)) {
    address.unix_path = text.substr(kUnix.size());
    if (address.unix_path.empty() || address.unix_path.find('\0') != std::string::npos) throw not_understood(text);
    return address;
  }
  if (const std::optional<std::uint16_t> port = parse_port(text)) {
    address.port = *port;
    return address;
  }
  const std::optional<HostAndPort> parts = split_host(text);
  const std::optional<std::uint16_t> port = parts ? parse_port(parts->port) : std::nullopt;
  if (!port) throw not_understood(text);
  address.port = *port;
  if (parts->host.empty() || same_name(parts->host, "localhost")) return address;
  address.host = parts->host;
  if (reach_of(address.host) == Reach::kNoAddress) throw not_understood(text);
  return address;
}

bool is_allowed_host(std::string_view host_header, const HttpAddress& address,
                     const std::vector<std::string>& allowed) {
  if (host_header.empty() || !address.unix_path.empty()) return true;
  const std::optional<std::string> name = host_name(host_header);
  if (!name || name->empty()) return false;
  if (std::any_of(allowed.begin(), allowed.end(),
                  [&](const std::string& one) { return same_name(*name, host_name(one).value_or("")); }))
    return true;
  if (is_localhost(*name)) return true;
  const Reach named = reach_of(*name);
  if (reach_of(address.host) == Reach::kLoopback) return named == Reach::kLoopback;
  return named != Reach::kNoAddress || is_this_machine(*name);
}

}  // namespace leakwatch
