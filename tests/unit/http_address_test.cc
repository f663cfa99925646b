// SPDX-License-Identifier: Apache-2.0
//
// Where to listen, as people type it, and who may be meant by a Host header.
#include "cli/http/http_address.h"

#include <unistd.h>

#include "cli/base/error.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("an address is a port, and an IP address if need be") {
  const std::vector<std::pair<const char*, HttpAddress>> table = {
      {"6060", {"127.0.0.1", 6060, ""}},
      {"0", {"127.0.0.1", 0, ""}},
      {"65535", {"127.0.0.1", 65535, ""}},
      {":6060", {"127.0.0.1", 6060, ""}},
      {"localhost:6060", {"127.0.0.1", 6060, ""}},
      {"LocalHost:6060", {"127.0.0.1", 6060, ""}},
      {"127.0.0.1:6060", {"127.0.0.1", 6060, ""}},
      {"0.0.0.0:6060", {"0.0.0.0", 6060, ""}},
      {"10.1.2.3:80", {"10.1.2.3", 80, ""}},
      {"[::1]:6060", {"::1", 6060, ""}},
      {"[::]:6060", {"::", 6060, ""}},
      {"[fe80::1]:6060", {"fe80::1", 6060, ""}},
      {"unix:/run/x.sock", {"127.0.0.1", 0, "/run/x.sock"}},
      {"unix:relative:80", {"127.0.0.1", 0, "relative:80"}},
  };
  for (const auto& [text, address] : table) {
    CAPTURE(text);
    CHECK(parse_http_address(text) == address);
  }
}

TEST_CASE("what is no address is refused, and the message names what is accepted") {
  for (const char* text : {"",
                           ":",
                           "x",
                           "-1",
                           "65536",
                           "6060x",
                           " 6060",
                           "6060 ",
                           "+6060",
                           "localhost",
                           "localhost:",
                           "localhost:x",
                           "example.com:80",
                           "1.2.3.4",
                           "1.2.3:80",
                           "1.2.3.4.5:80",
                           "::1:6060",
                           "[::1]",
                           "[::1]6060",
                           "[::1:6060",
                           "[::1]:",
                           "[1.2.3.4]:80",
                           "[]:80",
                           "[x:]:80",
                           "*:80",
                           "unix:",
                           "http://localhost:80",
                           "[::1]:65536",
                           "0x10:80",
                           "[fe80::1%lo]:80"}) {
    CAPTURE(text);
    try {
      parse_http_address(text);
      FAIL("it was accepted");
    } catch (const Error& error) {
      const std::string message = error.what();
      CHECK(message.find("'" + std::string(text) + "'") == 0);
      for (const char* accepted : {"6060", "127.0.0.1:6060", "[::1]:6060", "0.0.0.0:6060", "localhost:6060", "unix:/"})
        CHECK(message.find(accepted) != std::string::npos);
    }
  }
}

bool allowed_at(const char* listening, const std::string& host, const std::vector<std::string>& allowed = {}) {
  return is_allowed_host(host, HttpAddress{listening, 6060, ""}, allowed);
}

TEST_CASE("on a loopback address only what must be this machine is meant") {
  for (const char* listening : {"127.0.0.1", "::1", "127.8.9.1"}) {
    for (const char* host : {"", "localhost", "localhost:6060", "LOCALHOST:1", "localhost.", "localhost.:6060",
                             "127.0.0.1", "127.0.0.1:6060", "127.1.2.3:80", "[::1]", "[::1]:6060", "app.localhost",
                             "a.b.LocalHost.:80", "[::ffff:127.0.0.1]:80", "localhost:"}) {
      CAPTURE(listening, host);
      CHECK(allowed_at(listening, host));
    }
    for (const char* host : {"example.com",
                             "example.com:6060",
                             "127.0.0.1.example.com",
                             "localhost.example.com",
                             "notlocalhost",
                             ".localhost",
                             "10.0.0.1",
                             "10.0.0.1:6060",
                             "0.0.0.0",
                             "0.0.0.0:6060",
                             "128.0.0.1",
                             "[::]",
                             "[::2]:6060",
                             "127.1",
                             "2130706433",
                             "0x7f000001",
                             "::1",
                             "[::1",
                             "::1]",
                             "[127.0.0.1]",
                             "localhost:x",
                             "localhost:99999",
                             ":6060",
                             ".",
                             "localhost@example.com",
                             "user@localhost",
                             "localhost/x",
                             " localhost",
                             "local host",
                             "localhost..",
                             "[::1]x:80",
                             "[::1].example.com",
                             "127.0.0.1 ",
                             "[::1%25lo]"}) {
      CAPTURE(listening, host);
      CHECK_FALSE(allowed_at(listening, host));
    }
  }
}

TEST_CASE("on another address any IP address and this machine's own name are meant") {
  char own[256] = {};
  REQUIRE(gethostname(own, sizeof own - 1) == 0);
  const std::string whole = own, first = whole.substr(0, whole.find('.'));
  for (const char* listening : {"0.0.0.0", "::", "10.1.2.3"}) {
    for (const std::string& host :
         {std::string("10.1.2.3:6060"), std::string("192.0.2.7"), std::string("[2001:db8::1]:80"),
          std::string("localhost:80"), std::string("127.0.0.1"), whole, first, whole + ":6060", whole + ".:6060"}) {
      CAPTURE(listening, host);
      CHECK(allowed_at(listening, host));
    }
    for (const std::string& host : {std::string("example.com"), std::string("10.1.2.3.example.com"),
                                    std::string("1.2.3"), first + ".example.com", "x" + first, first.substr(1) + "-"}) {
      CAPTURE(listening, host);
      CHECK_FALSE(allowed_at(listening, host));
    }
  }
}

TEST_CASE("a name that was allowed is, however it is written") {
  const std::vector<std::string> names = {"Staging.Example.com", "other:8080", "10.0.0.1"};
  for (const char* host :
       {"staging.example.com", "STAGING.example.COM:6060", "staging.example.com.", "other", "other:1", "10.0.0.1:6060"})
    CHECK(allowed_at("127.0.0.1", host, names));
  for (const char* host : {"example.com", "a.staging.example.com", "staging.example.com.evil", "10.0.0.2"})
    CHECK_FALSE(allowed_at("127.0.0.1", host, names));
  CHECK_FALSE(allowed_at("127.0.0.1", "example.com", {"", ".", ":80", "[", "[::1]"}));
}

TEST_CASE("who can open a socket's file may call it what he likes") {
  HttpAddress address;
  address.unix_path = "/run/x.sock";
  CHECK(is_allowed_host("example.com", address, {}));
  CHECK(is_allowed_host("", address, {}));
  CHECK(is_allowed_host("[", address, {}));
}

}  // namespace
}  // namespace leakwatch
