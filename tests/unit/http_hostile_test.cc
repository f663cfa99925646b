// SPDX-License-Identifier: Apache-2.0
//
// Thousands of requests that were damaged at random, the same on every run: whatever comes, the server answers the next
// client.
#include <random>

#include "cli/http/http_server.h"
#include "tests/unit/catch.h"
#include "tests/unit/http_client.h"

namespace leakwatch {
namespace {

const std::string kForm =
    "POST /f HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n"
    "Content-Length: 7\r\n\r\na=%41&b";
const std::vector<std::string> kSeeds = {
    kForm,
    "GET /debug/pprof/heap?seconds=1&debug=2 HTTP/1.1\r\nHost: localhost:6060\r\nAccept: */*\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /debug/pprof/symbol HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 11\r\n\r\n0x1234+0x56",
    "POST /a HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    "GET http://localhost/x%20y HTTP/1.1\r\nHost: localhost\r\n\r\nGET /two HTTP/1.1\r\nHost: localhost\r\n\r\n"};
const std::vector<std::string> kPieces = {"\r\n",
                                          "\n",
                                          "\r",
                                          std::string(1, '\0'),
                                          "%",
                                          "%00",
                                          ":",
                                          " ",
                                          "\t",
                                          "chunked",
                                          "HTTP/1.1",
                                          "Content-Length: ",
                                          "-1",
                                          "\xff\xfe",
                                          "[",
                                          "Host: a\r\n",
                                          "ffffffffffffffff",
                                          "99999999999999999999"};

class Vandal {
 public:
  std::string request() {
    std::string text = kSeeds[below(kSeeds.size())];
    for (std::size_t damages = below(6); damages > 0; --damages) damage(text);
    return text;
  }
  std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  void damage(std::string& text) {
    const std::size_t place = below(text.size() + 1);
    switch (below(5)) {
      case 0:
        text.insert(place, kPieces[below(kPieces.size())]);
        break;
      case 1:
        text.erase(place, below(20));
        break;
      case 2:
        text.resize(place);
        break;
      case 3:
        text.insert(place, text.substr(below(text.size() + 1), below(200)));
        break;
      default:
        text.insert(place, 1, static_cast<char>(below(256)));
    }
  }

  std::mt19937_64 random_{20240607};
};

TEST_CASE("whatever a client sends, the next one is answered") {
  HttpLimits limits;
  limits.clients = 10'000;  // the last one is not to be refused because others are still leaving
  Event handled;
  const auto handler = [&](const HttpRequest& request) {
    handled.happen();
    if (parameter(request, "seconds").empty()) return echo(request);
    return HttpAnswer{{}, std::chrono::milliseconds(1), [] { return HttpResponse{200, {}, "late"}; }};
  };
  const HttpServer server({}, {}, handler, limits);
  Vandal vandal;
  for (int i = 0; i < 3000; ++i) {
    Client client(server.url());
    client.send(vandal.request());
    switch (vandal.below(3)) {
      case 0:
        client.reset();
        break;
      case 1:
        client.leave();
        break;
      default:
        client.send_nothing_more();
        client.rest();  // until it closes: nothing may be left hanging
    }
  }
  CHECK(handled.times() > 100);  // not all of them are beyond recognition
  Client last(server.url());
  CHECK(last.get("/x").body == "GET /x ? []");
}

}  // namespace
}  // namespace leakwatch
