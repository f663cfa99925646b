// SPDX-License-Identifier: Apache-2.0
//
// Clients that want too much, send too slowly or take too slowly, and a process without descriptors.
#include <sys/resource.h>

#include <thread>

#include "cli/http/http_server.h"
#include "tests/unit/catch.h"
#include "tests/unit/http_client.h"

namespace leakwatch {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

TEST_CASE("a header has a limit, however it comes") {
  HttpLimits limits;
  limits.header_bytes = 1000;
  const HttpServer server({}, {}, echo, limits);
  const std::string head = "GET / HTTP/1.1\r\nHost: localhost\r\n";
  const auto padded = [&](std::size_t bytes) {  // in all
    return head + "X: " + std::string(bytes - head.size() - 7, 'x') + "\r\n\r\n";
  };
  Client fits(server.url());
  fits.send(padded(900));
  CHECK(fits.receive().status == 200);
  for (const std::string& request : {padded(1100), padded(100'000), "GET /" + std::string(2000, 'x') + " HTTP/1.1\r\n",
                                     head + std::string(3000, 'x')}) {
    Client client(server.url());
    client.send(request);
    const Reply reply = client.receive();
    CHECK(reply.status == 431);
    CHECK(reply.header("connection") == "close");
    client.send_nothing_more();
    CHECK(client.is_closed());
  }
}

TEST_CASE("a body has a limit, whether its length is said or not") {
  HttpLimits limits;
  limits.body_bytes = 1000;
  const HttpServer server({}, {}, echo, limits);
  const std::string head = "POST / HTTP/1.1\r\nHost: localhost\r\n";
  Client fits(server.url());
  fits.send(head + "Content-Length: 1000\r\n\r\n" + std::string(1000, 'x'));
  CHECK(fits.receive().status == 200);
  const std::string chunk = "100\r\n" + std::string(256, 'x') + "\r\n";
  const std::string chunks = head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk + chunk;
  fits.send(chunks + "0\r\n\r\n");
  CHECK(fits.receive().status == 200);
  for (const std::string& request :
       {head + "Content-Length: 1001\r\n\r\n", head + "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
        head + "Content-Length: 999999999999\r\n\r\n" + std::string(200'000, 'x'), chunks + chunk}) {
    Client client(server.url());
    client.send(request);
    CHECK(client.receive().status == 413);
    client.send_nothing_more();
    CHECK(client.is_closed());
  }
}

TEST_CASE("what go tool pprof asks of a large profile fits: a mebibyte of addresses, and no byte more") {
  const HttpServer server({}, {},
                          [](const HttpRequest& request) { return text_answer(std::to_string(request.body.size())); });
  const std::string head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
  Client fits(server.url());
  fits.send(head + "1048576\r\n\r\n" + std::string(1'048'576, '+'));
  CHECK(fits.receive().body == "1048576");
  Client client(server.url());
  client.send(head + "1048577\r\n\r\n");
  CHECK(client.receive().status == 413);
}

// Holds those who enter until it is opened.
class Gate {
 public:
  void pass() {
    entered.happen();
    opened.wait();
  }
  Event entered, opened;
};

TEST_CASE("neither kind of work keeps the other one waiting") {
  HttpLimits limits;
  limits.threads = 2;
  for (const HttpWork flooded : {HttpWork::kMuch, HttpWork::kLittle}) {
    Gate gate;
    const auto is_of_flood = [](const HttpRequest& request) { return request.path == "/flood"; };
    const HttpServer server(
        {}, {},
        [&](const HttpRequest& request) {
          if (is_of_flood(request)) gate.pass();
          return echo(request);
        },
        limits,
        [&](const HttpRequest& request) {
          const HttpWork other = flooded == HttpWork::kMuch ? HttpWork::kLittle : HttpWork::kMuch;
          return is_of_flood(request) ? flooded : other;
        });
    std::vector<Client> flood;
    for (int i = 0; i < 10; ++i) {
      flood.emplace_back(server.url());
      flood.back().send("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    REQUIRE(gate.entered.wait());
    for (int i = 0; i < 10; ++i) CHECK(Client(server.url()).get("/").status == 200);
    CHECK(gate.entered.times() == 1);
    gate.opened.happen();
    for (Client& client : flood) CHECK(client.receive().status == 200);
  }
}

TEST_CASE("work of one kind is done by all threads but one") {
  Gate gate;
  HttpLimits limits;
  limits.threads = 4;
  const HttpServer server(
      {}, {},
      [&](const HttpRequest& request) {
        gate.pass();
        return echo(request);
      },
      limits);
  std::vector<Client> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(server.url());
    clients.back().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  CHECK(gate.entered.wait(3));
  gate.opened.happen();
  for (Client& client : clients) CHECK(client.receive().status == 200);
}

TEST_CASE("clients too many are told so, and there is room again when one leaves") {
  HttpLimits limits;
  limits.clients = 2;
  const HttpServer server({}, {}, echo, limits);
  Client first(server.url()), second(server.url());
  CHECK(first.get("/").status == 200);
  CHECK(second.get("/").status == 200);
  {
    Client third(server.url());
    const Reply reply = third.get("/");
    CHECK(reply.status == 503);
    CHECK_FALSE(reply.header("retry-after").empty());
    CHECK(third.is_closed());
  }
  CHECK(first.get("/").status == 200);
  first.leave();
  int status = 0;  // the server learns of it soon
  for (int i = 0; i < 1000 && status != 200; ++i) {
    status = Client(server.url()).get("/").status;
    if (status != 200) std::this_thread::sleep_for(milliseconds(10));
  }
  CHECK(status == 200);
}

TEST_CASE("a flood of clients beyond the limit leaves those within it alone") {
  HttpLimits limits;
  limits.clients = 1;
  const HttpServer server({}, {}, echo, limits);
  Client first(server.url());
  CHECK(first.get("/").status == 200);
  std::vector<Client> others;
  others.reserve(200);
  for (int i = 0; i < 200; ++i) others.emplace_back(server.url());
  CHECK(first.get("/").status == 200);
  for (Client& other : others) {  // told, or just closed
    const int status = other.receive().status;
    CHECK((status == 503 || status == 0));
  }
  CHECK(first.get("/").status == 200);
}

TEST_CASE("a client that drips its request is cut off, at the limit for the whole") {
  HttpLimits limits;
  limits.receive = milliseconds(300);
  const HttpServer server({}, {}, echo, limits);
  for (const char* begin : {"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
                            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"}) {
    Client client(server.url());
    const Clock::time_point start = Clock::now();
    client.send(begin);
    std::thread drip([&] {  // far more often than the limit
      while (client.send("x") && Clock::now() - start < std::chrono::seconds(50))
        std::this_thread::sleep_for(milliseconds(10));
    });
    CHECK(client.is_closed());
    CHECK(Clock::now() - start >= milliseconds(300));
    drip.join();
    CHECK(Clock::now() - start < std::chrono::seconds(50));
  }
  CHECK(Client(server.url()).get("/").status == 200);
}

TEST_CASE("a client that says nothing is cut off") {
  HttpLimits limits;
  limits.receive = milliseconds(150);
  limits.idle = milliseconds(300);
  const HttpServer server({}, {}, echo, limits);
  Client silent(server.url()), idle(server.url());
  CHECK(idle.get("/").status == 200);
  const Clock::time_point start = Clock::now();
  CHECK(silent.is_closed());
  CHECK(idle.is_closed());
  CHECK(Clock::now() - start >= milliseconds(250));  // the answer is a little younger than its sending
}

TEST_CASE("a client that takes nothing of its answer is cut off") {
  HttpLimits limits;
  limits.send = milliseconds(300);
  const std::string large(8'000'000, 'x');
  const HttpServer server(
      {}, {}, [&](const HttpRequest&) { return text_answer(large); }, limits);
  Client stuck(server.url());
  stuck.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::size_t begun = stuck.take(1).size();  // a slow machine takes its time to answer
  std::this_thread::sleep_for(milliseconds(1000));
  CHECK(begun == 1);
  CHECK(stuck.rest().size() < large.size());
}

TEST_CASE("a client that takes its answer slowly gets it whole") {
  HttpLimits limits;
  limits.send = milliseconds(2000);
  const std::string large(8'000'000, 'x');
  const HttpServer server(
      {}, {}, [&](const HttpRequest&) { return text_answer(large); }, limits);
  Client slow(server.url());
  slow.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  std::string taken;
  const Clock::time_point start = Clock::now();
  for (std::string piece; !(piece = slow.take(250'000)).empty(); taken += piece)
    std::this_thread::sleep_for(milliseconds(100));
  CHECK(Clock::now() - start > limits.send);
  CHECK(taken.size() > large.size());
  CHECK(taken.ends_with("\r\n\r\n" + large));
}

TEST_CASE("delayed answers have a limit, and what was held for one beyond it is freed") {
  HttpLimits limits;
  limits.delayed = 2;
  Event freed, asked;
  const HttpServer server(
      {}, {},
      [&](const HttpRequest&) {
        asked.happen();
        return HttpAnswer{
            {}, std::chrono::hours(1), [token = std::make_shared<Token>(freed)] { return HttpResponse{}; }};
      },
      limits);
  Client first(server.url()), second(server.url());
  for (const Client* client : {&first, &second}) client->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(asked.wait(2));
  // They may be handled and not yet be counted: then it is the third that waits, and one of them that is told.
  Client third(server.url());
  third.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(freed.wait(1));
  first.leave();
  second.leave();
  third.leave();
  CHECK(freed.wait(3));
}

TEST_CASE("a delayed answer beyond the limit is refused, and the connection kept") {
  HttpLimits limits;
  limits.delayed = 0;
  const HttpServer server(
      {}, {},
      [&](const HttpRequest& request) {
        if (request.path != "/late") return echo(request);
        return HttpAnswer{{}, std::chrono::hours(1), [] { return HttpResponse{}; }};
      },
      limits);
  Client client(server.url());
  const Reply reply = client.get("/late");
  CHECK(reply.status == 503);
  CHECK_FALSE(reply.header("retry-after").empty());
  CHECK(client.get("/").status == 200);
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Takes away all descriptors that are not in use.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const Descriptor lowest(dup(0));
    const rlimit none{static_cast<rlim_t>(lowest.number()), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("without a descriptor for a client the server waits for one, and does not spin") {
  const HttpServer server({}, {}, echo);
  CHECK(Client(server.url()).get("/").status == 200);
  Descriptor socket = Client::make_socket(AF_INET);
  std::optional<Client> client;
  {
    const NoDescriptors none;
    client.emplace(server.url(), std::move(socket));
    client->send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const double before = cpu_seconds();
    std::this_thread::sleep_for(milliseconds(1000));
    CHECK(cpu_seconds() - before < 0.5);
  }
  CHECK(client->receive().body == "GET /x ? []");
}

}  // namespace
}  // namespace leakwatch
