// SPDX-License-Identifier: Apache-2.0
//
// Answers that take their time, clients that do not wait for them, and the end of a server with all of that under way.
#include <thread>

#include "cli/http/http_server.h"
#include "tests/unit/catch.h"
#include "tests/unit/http_client.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

HttpAnswer later(milliseconds delay, std::function<HttpResponse()> then) {
  return {{}, delay, std::move(then)};
}

TEST_CASE("a delayed answer comes after its delay, and not before") {
  const HttpServer server({}, {}, [](const HttpRequest& request) {
    if (request.path != "/late") return echo(request);
    return later(milliseconds(300), [] { return HttpResponse{201, {{"X", "y"}}, "late"}; });
  });
  Client client(server.url());
  const Clock::time_point start = Clock::now();
  const Reply reply = client.get("/late");
  CHECK(Clock::now() - start >= milliseconds(300));
  CHECK(reply.status == 201);
  CHECK(reply.body == "late");
  CHECK(reply.header("x") == "y");
  CHECK(client.get("/next").status == 200);
}

TEST_CASE("a delay takes no thread") {
  HttpLimits limits;
  limits.threads = 1;
  Event asked;
  const HttpServer server(
      {}, {},
      [&](const HttpRequest& request) {
        if (request.path != "/late") return echo(request);
        asked.happen();
        return later(std::chrono::hours(1), [] { return HttpResponse{}; });
      },
      limits);
  std::vector<Client> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.emplace_back(server.url());
    waiting.back().send("GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  REQUIRE(asked.wait(20));
  CHECK(Client(server.url()).get("/").status == 200);
}

TEST_CASE("a client that leaves during a delay is noticed at once, and what was held for it freed") {
  const TemporaryFolder folder;
  HttpAddress file;
  file.unix_path = folder.path() / "socket";
  for (const HttpAddress& address : {HttpAddress(), file}) {
    Event asked, freed, called;
    const HttpServer server(address, {}, [&](const HttpRequest&) {
      asked.happen();
      return later(std::chrono::hours(1), [&, token = std::make_shared<Token>(freed)] {
        called.happen();
        return HttpResponse{};
      });
    });
    int leaving = 0;
    for (void (Client::*leave)() : {&Client::leave, &Client::reset}) {
      Client client(server.url());
      client.send(kGet);
      REQUIRE(asked.wait(++leaving));
      (client.*leave)();
      CHECK(freed.wait(leaving));
    }
    CHECK(called.times() == 0);
  }
}

TEST_CASE("requests that are sent during a delay are kept for later") {
  const HttpServer server({}, {}, [](const HttpRequest& request) {
    return request.path == "/late" ? later(milliseconds(200),
                                           [] {
                                             return HttpResponse{200, {}, "late"};
                                           })
                                   : echo(request);
  });
  Client client(server.url());
  client.send("GET /late HTTP/1.1\r\nHost: localhost\r\n\r\nGET /a HTTP/1.1\r\n");
  std::this_thread::sleep_for(milliseconds(20));
  client.send("Host: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive().body == "late");
  CHECK(client.receive().body == "GET /a ? []");
  CHECK(client.receive().body == "GET /b ? []");
}

TEST_CASE("a client that sends without end during a delay is not read without end") {
  Event asked;
  const HttpServer server({}, {}, [&](const HttpRequest&) {
    asked.happen();
    return later(milliseconds(300), [] { return HttpResponse{200, {}, "late"}; });
  });
  Client client(server.url());
  client.send(kGet);
  REQUIRE(asked.wait());
  std::thread flood([&] {
    const std::string junk(1 << 20, 'x');
    for (int i = 0; i < 64 && client.send(junk); ++i) {
    }
  });
  CHECK(client.receive().body == "late");
  const int status = client.receive().status;  // of the junk; gone when the rest was not waited for
  CHECK((status == 400 || status == 431 || status == 0));
  flood.join();
}

// A server with one thread, which is busy until `release`.
struct BusyServer {
  BusyServer() {
    HttpLimits limits;
    limits.threads = 1;
    limits.half_closed = milliseconds(0);
    server.emplace(
        HttpAddress(), std::vector<std::string>(), [this](const HttpRequest& request) { return answer(request); },
        limits);
  }
  HttpAnswer answer(const HttpRequest& request) {
    asked.happen();
    if (request.path == "/block") release.wait();
    return echo(request);
  }

  Event release, asked;
  std::optional<HttpServer> server;
};

TEST_CASE("a request whose client has gone before its turn is not handled") {
  BusyServer busy;
  Client first(busy.server->url());
  first.send("GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(busy.asked.wait());
  for (void (Client::*leave)() : {&Client::leave, &Client::reset}) {
    Client gone(busy.server->url());
    gone.send(kGet);
    (gone.*leave)();
  }
  // When later ones, which need no worker, have their answers, the server has seen those leave.
  for (int i = 0; i < 3; ++i) CHECK(Client(busy.server->url()).get("/%").status == 400);
  busy.release.happen();
  CHECK(first.receive().status == 200);
  CHECK(Client(busy.server->url()).get("/last").status == 200);
  CHECK(busy.asked.times() == 2);
}

TEST_CASE("a client that only has no more to ask gets its answer") {
  const HttpServer server({}, {}, echo);
  for (int i = 0; i < 20; ++i) {
    Client client(server.url());
    client.send(kGet);
    client.send_nothing_more();
    CHECK(client.receive().body == "GET / ? []");
    CHECK(client.is_closed());
  }
}

TEST_CASE("a server ends at once, with clients of every kind") {
  Event asked, freed;
  HttpLimits limits;
  limits.send = std::chrono::hours(1);
  const std::string large(8'000'000, 'x');
  std::optional<HttpServer> server;
  server.emplace(
      HttpAddress(), std::vector<std::string>(),
      [&](const HttpRequest& request) {
        asked.happen();
        if (request.path == "/large") return text_answer(large);
        return later(std::chrono::hours(1), [token = std::make_shared<Token>(freed)] { return HttpResponse{}; });
      },
      limits);
  Client silent(server->url()), begun(server->url()), delayed(server->url()), stuck(server->url());
  begun.send("GET / HT");
  delayed.send(kGet);
  stuck.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(asked.wait(2));
  const Clock::time_point start = Clock::now();
  server.reset();
  CHECK(Clock::now() - start < std::chrono::seconds(20));  // an hour, if anything were waited for
  CHECK(freed.times() == 1);
  for (Client* client : {&silent, &begun, &delayed}) CHECK(client->is_closed());
  CHECK(stuck.rest().size() < large.size());
}

TEST_CASE("a server's end waits for the handler that runs, and drops those that wait") {
  BusyServer busy;
  Client first(busy.server->url()), second(busy.server->url());
  first.send("GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(busy.asked.wait());
  second.send(kGet);
  CHECK(Client(busy.server->url()).get("/%").status == 400);  // so the one before has been received
  std::thread releaser([&] {
    std::this_thread::sleep_for(milliseconds(100));
    busy.release.happen();
  });
  busy.server.reset();
  CHECK(busy.release.times() == 1);
  CHECK(busy.asked.times() == 1);
  releaser.join();
  CHECK(first.is_closed());
  CHECK(second.is_closed());
}

}  // namespace
}  // namespace leakwatch
