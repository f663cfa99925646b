// SPDX-License-Identifier: Apache-2.0
//
// Where to listen, and under which names a request may come.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace leakwatch {

struct HttpAddress {
  std::string host = "127.0.0.1";  // an IP address, without brackets
  std::uint16_t port = 0;          // 0: any free one
  std::string unix_path;           // not empty: a socket file instead
  friend bool operator==(const HttpAddress&, const HttpAddress&) = default;
};

// "6060", "127.0.0.1:6060", "[::1]:6060", "localhost:6060", ":6060" (loopback too), "0.0.0.0:6060", "unix:PATH". Throws
// Error.
HttpAddress parse_http_address(std::string_view text);

// Against DNS rebinding (a page in somebody's browser whose name was made to point here): a Host header must name what
// cannot be another's. On a loopback address: a loopback IP address, localhost or a name below it. On any other: any IP
// address, localhost, this machine's own name. Always: a name in `allowed`. An empty host and a unix socket are fine.
bool is_allowed_host(std::string_view host_header, const HttpAddress& address, const std::vector<std::string>& allowed);

}  // namespace leakwatch
