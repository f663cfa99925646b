// SPDX-License-Identifier: Apache-2.0
//
// HTTP over real sockets: what a handler sees of a request, and what a client gets for an answer.
#include "cli/http/http_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cli/base/error.h"
#include "tests/unit/catch.h"
#include "tests/unit/http_client.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

TEST_CASE("a request reaches the handler, and its answer the client") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  const Reply reply = client.get("/debug/pprof/he%61p?seconds=1&x=%20");
  CHECK(reply.status == 200);
  CHECK(reply.version == "HTTP/1.1");
  CHECK(reply.body == "GET /debug/pprof/heap ?seconds=1&x=%20 []");
  CHECK(reply.header("content-type") == "text/plain");
  CHECK(reply.header("content-length") == std::to_string(reply.body.size()));
  CHECK(reply.header("date").ends_with(" GMT"));
  CHECK(reply.header("date").size() == 29);
  CHECK(reply.header("server").empty());
}

TEST_CASE("status and headers are the handler's") {
  const HttpServer server({}, {}, [](const HttpRequest&) {
    return HttpAnswer{{307, {{"Location", "/x"}, {"X-A", "1"}, {"X-B", ""}}, "moved"}, {}, {}};
  });
  const Reply reply = Client(server.url()).get("/");
  CHECK(reply.status == 307);
  CHECK(reply.header("location") == "/x");
  CHECK(reply.header("x-a") == "1");
  CHECK(reply.headers.count("x-b") == 1);
  CHECK(reply.body == "moved");
}

TEST_CASE("a HEAD gets the length of the body and no body") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  const Reply head = client.ask("HEAD", "/x");
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == std::to_string(std::string("HEAD /x ? []").size()));
  CHECK(client.get("/y").body == "GET /y ? []");  // nothing was in between
}

TEST_CASE("a connection is kept for the next request") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  for (int i = 0; i < 50; ++i) CHECK(client.get("/" + std::to_string(i)).body == "GET /" + std::to_string(i) + " ? []");
  client.send("GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const Reply last = client.receive();
  CHECK(last.body == "GET /last ? []");
  CHECK(last.header("connection") == "close");
  CHECK(client.is_closed());
}

TEST_CASE("HTTP/1.0 closes unless the client asks not to, and needs no Host") {
  const HttpServer server({}, {}, echo);
  Client once(server.url());
  once.send("GET /a HTTP/1.0\r\n\r\n");
  const Reply reply = once.receive();
  CHECK(reply.version == "HTTP/1.0");
  CHECK(reply.body == "GET /a ? []");
  CHECK(once.is_closed());
  Client kept(server.url());
  for (const char* path : {"/a", "/b"}) {
    kept.send(std::string("GET ") + path + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const Reply next = kept.receive();
    CHECK(next.header("connection") == "keep-alive");
    CHECK(next.body == std::string("GET ") + path + " ? []");
  }
}

TEST_CASE("requests that come before their answers are answered in their order") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  std::string requests;
  for (int i = 0; i < 500; ++i)
    requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";  // more than fits a buffer
  std::thread sender([&] { client.send(requests); });
  for (int i = 0; i < 500; ++i) CHECK(client.receive().body == "GET /" + std::to_string(i) + " ? []");
  sender.join();
}

TEST_CASE("a request may come in any pieces") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  const std::string request = "POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
  for (const char byte : request) REQUIRE(client.send({&byte, 1}));
  CHECK(client.receive().body == "POST /p ? [hello]");
}

TEST_CASE("a body has a length or comes in chunks, and may be a form") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  client.send(
      "POST /p HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
  CHECK(client.receive().body == "POST /p ? [abcde]");
  const std::pair<const char*, const char*> table[] = {{"application/x-www-form-urlencoded", " form"},
                                                       {"Application/X-WWW-Form-Urlencoded; charset=utf-8", " form"},
                                                       {"application/x-www-form-urlencodedx", ""},
                                                       {"text/plain", ""}};
  for (const auto& [type, suffix] : table) {
    client.send(std::string("POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Type: ") + type +
                "\r\n\r\na=b");
    CHECK(client.receive().body == std::string("POST /p ? [a=b]") + suffix);
  }
  client.send(
      "GET /g HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
      "Content-Type: application/x-www-form-urlencoded\r\n\r\na=b");
  CHECK(client.receive().body == "GET /g ? [a=b]");
}

TEST_CASE("a client that asks whether to go on with its body is told to") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  client.send("POST /p HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(client.receive().status == 100);
  client.send("hi");
  CHECK(client.receive().body == "POST /p ? [hi]");
  client.send("POST /p HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\n");
  CHECK(client.receive().status == 417);
  CHECK(client.is_closed());
}

TEST_CASE("a large answer arrives whole") {
  std::string large(5'000'000, 'x');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i % 23);
  const HttpServer server({}, {}, [&](const HttpRequest&) { return text_answer(large); });
  Client client(server.url());
  for (int i = 0; i < 3; ++i) CHECK(client.get("/").body == large);
}

TEST_CASE("the path of a target in absolute form is taken") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  CHECK(client.get("http://localhost:1/a?b").body == "GET /a ?b []");
  CHECK(client.get("http://localhost").body == "GET / ? []");
  CHECK(client.get("http://example.com/a").status == 403);
}

TEST_CASE("a path is asked for by its shortest name") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  const Reply reply = client.get("//host/./a<b%2F%c3%a4\xe4?x=\"&y");
  CHECK(reply.status == 301);
  CHECK(reply.header("location") == "/host/a<b%2F%c3%a4%e4?x=\"&y");
  CHECK(reply.header("content-type") == "text/html; charset=utf-8");
  CHECK(reply.body == "<a href=\"/host/a&lt;b%2F%c3%a4%e4?x=&#34;&amp;y\">Moved Permanently</a>.\n\n");
  CHECK(client.get("/host/a%2F..%2F").body == "GET /host/a/../ ? []");  // what is escaped is no way
  CHECK(client.get("/?//").body == "GET / ?// []");
  CHECK(client.ask("HEAD", "/a//").header("location") == "/a/");
}

TEST_CASE("a bad target is a bad request") {
  const HttpServer server({}, {}, echo);
  Client client(server.url());
  for (const char* target : {"/%", "/%zz", "x", "*", "http://"}) {
    const Reply reply = client.get(target);
    CHECK(reply.status == 400);
    CHECK(reply.header("content-type") == "text/plain; charset=utf-8");
    CHECK(reply.header("x-content-type-options") == "nosniff");
  }
  CHECK(client.get("/ok").status == 200);
}

TEST_CASE("other methods do not reach the handler") {
  Event asked;
  const HttpServer server({}, {}, [&](const HttpRequest& request) {
    asked.happen();
    return echo(request);
  });
  Client client(server.url());
  for (const char* method : {"PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"}) {
    const Reply reply = client.ask(method, "/");
    CHECK(reply.status == 405);
    CHECK(reply.header("allow") == "GET, HEAD, POST");
  }
  CHECK(asked.times() == 0);
}

TEST_CASE("the Host header must name this server") {
  Event asked;
  const HttpServer server({}, {"allowed.example"}, [&](const HttpRequest& request) {
    asked.happen();
    return echo(request);
  });
  Client client(server.url());
  const auto status = [&](const std::string& hosts) {
    client.send("GET / HTTP/1.1\r\n" + hosts + "\r\n");
    return client.receive();
  };
  CHECK(status("Host: localhost:1\r\n").status == 200);
  CHECK(status("Host: Allowed.Example:6060\r\n").status == 200);
  CHECK(status("Host:\r\n").status == 200);
  CHECK(asked.times() == 3);
  const Reply refused = status("Host: evil.example\r\n");
  CHECK(refused.status == 403);
  CHECK(refused.header("content-type") == "text/plain; charset=utf-8");
  CHECK(refused.header("x-content-type-options") == "nosniff");
  CHECK(refused.body.find("evil.example") != std::string::npos);
  CHECK(refused.body.find("--http-host NAME") != std::string::npos);
  CHECK(status("").status == 400);
  CHECK(status("Host: localhost\r\nHost: localhost\r\n").status == 400);
  CHECK(asked.times() == 3);
}

TEST_CASE("a malformed request is answered once, and the connection closed") {
  const HttpServer server({}, {}, echo);
  for (const char* request :
       {"\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost localhost\r\n\r\n", "GET / HTTP/3.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", "\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    CAPTURE(request);
    Client client(server.url());
    client.send(request);
    const Reply reply = client.receive();
    CHECK(reply.status == 400);
    CHECK(reply.header("connection") == "close");
    CHECK(reply.header("x-content-type-options") == "nosniff");
    CHECK(client.is_closed());
  }
}

TEST_CASE("a handler that throws is an internal error, and the next one is asked") {
  const HttpServer server({}, {}, [](const HttpRequest& request) -> HttpAnswer {
    if (request.path == "/error") throw Error("secret");
    if (request.path == "/odd") throw 5;
    if (request.path == "/late")
      return {{}, std::chrono::milliseconds(1), []() -> HttpResponse { throw Error("secret"); }};
    if (request.path == "/split") return {{200, {{"Location", "/\r\nSet-Cookie: a=b"}}, "secret"}, {}, {}};
    return echo(request);
  });
  Client client(server.url());
  for (const char* path : {"/error", "/odd", "/late", "/split"}) {
    const Reply reply = client.get(path);
    CHECK(reply.status == 500);
    CHECK(reply.body == "internal error\n");
    CHECK(reply.header("content-type") == "text/plain; charset=utf-8");
    CHECK(reply.header("x-content-type-options") == "nosniff");
    CHECK(reply.header("set-cookie").empty());
    CHECK(client.get("/fine").status == 200);
  }
}

TEST_CASE("a unix socket serves the same, under any name") {
  const TemporaryFolder folder;
  HttpAddress address;
  address.unix_path = folder.path() / "socket";
  {
    const HttpServer server(address, {}, echo);
    CHECK(server.url() == "unix:" + address.unix_path);
    Client client(server.url());
    CHECK(client.get("/a").body == "GET /a ? []");
    client.send("GET /b HTTP/1.1\r\nHost: example.com\r\n\r\n");
    CHECK(client.receive().body == "GET /b ? []");
  }
  CHECK_FALSE(std::filesystem::exists(address.unix_path));
}

TEST_CASE("handlers run on threads of low priority that take no signal") {
  struct Thread {
    std::string name;
    int niceness = 0;
    bool is_blocked = false;
  };
  Thread thread;
  const HttpServer server({}, {}, [&](const HttpRequest&) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    std::getline(std::ifstream("/proc/thread-self/comm"), thread.name);
    thread.niceness = getpriority(PRIO_PROCESS, 0);
    thread.is_blocked =
        sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGPROF) == 1 && sigismember(&mask, SIGUSR1) == 1;
    return text_answer("");
  });
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  CHECK(sigismember(&mask, SIGTERM) == 0);  // here it is as it was
  CHECK(Client(server.url()).get("/").status == 200);
  CHECK(thread.name == "http-worker");
  CHECK(thread.niceness == std::min(getpriority(PRIO_PROCESS, 0) + 10, 19));
  CHECK(thread.is_blocked);
}

TEST_CASE("many clients at once get each his own answer") {
  HttpLimits limits;
  limits.clients = 40;
  const HttpServer server({}, {}, echo, limits);
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  threads.reserve(limits.clients);
  for (int number = 0; number < 40; ++number)
    threads.emplace_back([&, number] {
      Client client(server.url());
      for (int i = 0; i < 25; ++i) {
        const std::string path = "/" + std::to_string(number) + "/" + std::to_string(i);
        right += client.get(path).body == "GET " + path + " ? []";
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 40 * 25);
}

TEST_CASE("an address that cannot be had is an error") {
  const HttpServer first({}, {}, echo);
  HttpAddress same;
  same.port = static_cast<std::uint16_t>(std::stoi(first.url().substr(first.url().rfind(':') + 1)));
  CHECK_THROWS_AS(HttpServer(same, {}, echo), Error);
}

}  // namespace
}  // namespace leakwatch
