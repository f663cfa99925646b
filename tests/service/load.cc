// SPDX-License-Identifier: Apache-2.0
//
// load PORT SECONDS RATE: asks the service on 127.0.0.1:PORT RATE times a second, for SECONDS: three logins and two
// pages in turn, and now and then a subscription. Says what it did; status 1 when a request failed.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "socket.h"

namespace {

constexpr long kLongest = 3600, kFastest = 10000;
constexpr long kRequestsPerSubscription = 100;

std::string request(long number) {
  if (number % kRequestsPerSubscription == 0) return "GET /subscribe HTTP/1.1\r\n\r\n";
  if (number % 5 < 2) return "GET /page HTTP/1.1\r\n\r\n";
  const std::string body = "user=user-" + std::to_string(number);
  return "POST /login HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

bool ask(std::uint16_t port, const std::string& request) {
  const service::Socket server = service::connect_to(port);
  if (!server.is_open() || !server.send(request)) return false;
  std::string answer;
  while (server.receive(answer)) {
  }
  return answer.starts_with("HTTP/1.1 20");
}

}  // namespace

int main(int argc, char** argv) {
  const long port = argc == 4 ? std::atol(argv[1]) : 0;
  const long seconds = argc == 4 ? std::atol(argv[2]) : 0;
  const long rate = argc == 4 ? std::atol(argv[3]) : 0;
  if (port < 1 || port > 65535 || seconds < 1 || seconds > kLongest || rate < 1 || rate > kFastest) {
    std::fprintf(stderr, "usage: load PORT SECONDS RATE (at most %ld seconds and %ld a second)\n", kLongest, kFastest);
    return 2;
  }
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now(), end = start + std::chrono::seconds(seconds);
  long asked = 0, failed = 0;
  for (; asked < seconds * rate && Clock::now() < end; ++asked) {
    std::this_thread::sleep_until(start + std::chrono::microseconds(asked * 1'000'000 / rate));
    if (!ask(static_cast<std::uint16_t>(port), request(asked))) ++failed;
  }
  std::printf("%ld requests, %ld failed\n", asked, failed);
  return failed == 0 ? 0 : 1;
}
