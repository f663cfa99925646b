// SPDX-License-Identifier: Apache-2.0
//
// Requests as values, a program made of literals, and what Go's net/http/pprof would answer.
#include "cli/serve/pprof_endpoints.h"

#include <zlib.h>

#include "cli/serve/history.h"
#include "tests/unit/go_pprof.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {
namespace {

using std::chrono::milliseconds;

class FakeProgram : public ProfileSource {
 public:
  FakeProgram() {
    threads_.time_ns = heap_.time_ns;
    threads_.modules = heap_.modules;
    threads_.stacks = heap_.stacks;
    threads_.threads = {{500, "server", "poll", 0, 0, 1, true}, {501, "worker-1", "futex wait", 0, 1, 0, true}};
    threads_.creators = {{0, {5, 2, 1, 24}}};
  }

  Moment<HeapSnapshot> heap() override {
    ++looks;
    if (!has_called) return {};
    return {std::make_shared<const HeapSnapshot>(heap_), symbols_.lookup(), program};
  }
  Moment<ThreadSnapshot> threads() override {
    if (!has_called) return {};
    return {std::make_shared<const ThreadSnapshot>(threads_), symbols_.lookup(), program};
  }
  LiveTotals totals() override {
    LiveTotals totals;
    totals.time_ns = has_called ? heap_.time_ns : 0;
    totals.program = program;
    totals.sites = 5;
    totals.kernel_threads = 2;
    totals.threads.created = 7;
    return totals;
  }
  std::vector<std::string> command() const override { return {"./server", "--port", "8080"}; }

  void grow() {
    heap_.time_ns += 2'000'000'000;
    heap_.samples[2].counters += {1, 4096, 1, 4096};
    threads_.time_ns += 2'000'000'000;
    threads_.creators[0].counters.created += 3;
  }

  bool has_called = true;
  std::uint64_t program = 1;
  int looks = 0;

 private:
  FakeSymbols symbols_;
  HeapSnapshot heap_ = server();
  ThreadSnapshot threads_;
};

struct Served {
  FakeProgram program;
  History history;
  PprofEndpoints endpoints{program, history};

  HttpAnswer ask(const std::string& target, const std::string& method = "GET", const std::string& body = "") {
    const std::size_t mark = target.find('?');
    HttpRequest request{method, target.substr(0, mark), mark == std::string::npos ? "" : target.substr(mark + 1), body};
    std::optional<HttpAnswer> answer = endpoints.answer(request);
    REQUIRE(answer);
    return *std::move(answer);
  }
  HttpResponse get(const std::string& target, const std::string& method = "GET", const std::string& body = "") {
    const HttpAnswer answer = ask(target, method, body);
    REQUIRE_FALSE(answer.later);
    return answer.now;
  }
};

std::string header(const HttpResponse& response, const std::string& name) {
  std::string found;
  for (const auto& [key, value] : response.headers) {
    if (key == name) found += found.empty() ? value : ", " + value;
  }
  return found;
}

std::string unpacked(const std::string& compressed) {
  std::string bytes(std::size_t{1} << 20, '\0');
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, MAX_WBITS + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  bytes.resize(stream.total_out);
  inflateEnd(&stream);
  return bytes;
}

// A download of that name, as a profile.
pb::Profile downloaded(const HttpResponse& response, const std::string& name) {
  CHECK(response.status == 200);
  CHECK(header(response, "Content-Type") == "application/octet-stream");
  CHECK(header(response, "Content-Disposition") == "attachment; filename=\"" + name + "\"");
  CHECK(header(response, "X-Content-Type-Options") == "nosniff");
  CHECK(header(response, "Content-Encoding").empty());
  CHECK(header(response, "X-Go-Pprof").empty());
  pb::Profile profile = parsed(unpacked(response.body));
  require_well_formed(profile);
  return profile;
}

std::vector<std::string> types(const pb::Profile& profile) {
  std::vector<std::string> names;
  for (const pb::ValueType& type : profile.sample_type())
    names.push_back(text(profile, type.type()) + "/" + text(profile, type.unit()));
  return names;
}

void check_refused(const HttpResponse& response, int status, const std::string& text) {
  CHECK(response.status == status);
  CHECK(response.body == text + "\n");
  CHECK(header(response, "Content-Type") == "text/plain; charset=utf-8");
  CHECK(header(response, "X-Content-Type-Options") == "nosniff");
  CHECK(header(response, "X-Go-Pprof") == "1");
  CHECK(header(response, "Content-Disposition").empty());
}

const std::vector<std::string> kHeapTypes = {"alloc_objects/count", "alloc_space/bytes", "inuse_objects/count",
                                             "inuse_space/bytes"};

}  // namespace

TEST_CASE("other paths are none of its business") {
  Served served;
  for (const char* path : {"/", "/debug", "/debug/pprofx", "/metrics", "/debug/ppro/heap"}) {
    CHECK_FALSE(served.endpoints.answer({"GET", path, "", "", false}));
  }
}

TEST_CASE("what looks at the program or at symbols is much work") {
  for (const char* name : {"heap", "allocs", "goroutine", "threads", "threadcreate", "block", "mutex", "symbol"})
    CHECK(PprofEndpoints::is_much_work(std::string("/debug/pprof/") + name));
  for (const char* path : {"/debug/pprof/", "/debug/pprof", "/debug/pprof/cmdline", "/debug/pprof/nothing", "/metrics"})
    CHECK_FALSE(PprofEndpoints::is_much_work(path));
}

TEST_CASE("every profile is a download with its types") {
  const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {"heap", kHeapTypes},
      {"allocs", kHeapTypes},
      {"goroutine", {"goroutine/count"}},
      {"threads", {"goroutine/count"}},
      {"threadcreate", {"threadcreate/count"}},
      {"block", {"contentions/count", "delay/nanoseconds"}},
      {"mutex", {"contentions/count", "delay/nanoseconds"}}};
  Served served;
  for (const auto& [name, wanted] : table) {
    for (const char* query : {"", "?gc=1", "?debug=0", "?debug=x", "?debug=+1", "?debug=", "?seconds="}) {
      INFO(name << query);
      const pb::Profile profile = downloaded(served.get("/debug/pprof/" + name + query), name);
      CHECK(types(profile) == wanted);
      CHECK(profile.duration_nanos() == 0);
      CHECK(profile.time_nanos() > 0);
    }
  }
  CHECK(totals(downloaded(served.get("/debug/pprof/heap"), "heap")) == std::vector<std::int64_t>{27, 9984, 20, 5504});
  CHECK(totals(downloaded(served.get("/debug/pprof/goroutine"), "goroutine")) == std::vector<std::int64_t>{2});
  CHECK(totals(downloaded(served.get("/debug/pprof/threadcreate"), "threadcreate")) == std::vector<std::int64_t>{5});
}

TEST_CASE("with debug every profile is text") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"heap?debug=1", "heap profile: "},
      {"allocs?debug=2", "heap profile: "},
      {"heap?debug=-1", "heap profile: "},
      {"heap?debug=99999999999999999999", "heap profile: "},
      {"goroutine?debug=1", "goroutine profile: total 2\n"},
      {"threads?debug=1", "goroutine profile: total 2\n"},
      {"goroutine?debug=2", "goroutine 500 [poll]:\n"},
      {"threadcreate?debug=1", "threadcreate profile: total 5\n"},
      {"block?debug=1", "--- contention:\ncycles/second="},
      {"mutex?debug=1", "--- mutex:\ncycles/second="}};
  Served served;
  for (const auto& [target, beginning] : table) {
    INFO(target);
    const HttpResponse response = served.get("/debug/pprof/" + target);
    CHECK(response.status == 200);
    CHECK(header(response, "Content-Type") == "text/plain; charset=utf-8");
    CHECK(header(response, "X-Content-Type-Options") == "nosniff");
    CHECK(header(response, "Content-Disposition").empty());
    CHECK(response.body.starts_with(beginning));
  }
}

TEST_CASE("a name that is not there is refused before anything else") {
  Served served;
  for (const char* name : {"nothing", "heap/", "cmdline/", "trace", "goroutineleak", "nothing?seconds=x", "Heap"}) {
    INFO(name);
    check_refused(served.get(std::string("/debug/pprof/") + name), 404, "Unknown profile");
  }
}

TEST_CASE("bad seconds are refused in Go's words, and before debug") {
  Served served;
  for (const char* seconds : {"x", "0", "-1", "1.5", "1s", "9223372036854775808", " 1", "x&debug=1"}) {
    INFO(seconds);
    check_refused(served.get(std::string("/debug/pprof/heap?seconds=") + seconds), 400,
                  "invalid value for \"seconds\" - must be a positive integer");
  }
  check_refused(served.get("/debug/pprof/heap?seconds=1&debug=1"), 400, "seconds and debug params are incompatible");
  CHECK(served.program.looks == 0);
}

TEST_CASE("a delta is what changed between the question and the answer") {
  Served served;
  const HttpAnswer answer = served.ask("/debug/pprof/heap?seconds=2&gc=1");
  REQUIRE(answer.later);
  CHECK(answer.delay == milliseconds(2000));
  served.program.grow();
  const pb::Profile profile = downloaded(answer.later(), "heap-delta");
  CHECK(types(profile) == kHeapTypes);
  CHECK(totals(profile) == std::vector<std::int64_t>{1, 4096, 1, 4096});
  CHECK(profile.sample_size() == 1);
  CHECK(profile.duration_nanos() == 2'000'000'000);
  CHECK(profile.time_nanos() == server().time_ns + 2'000'000'000);
}

TEST_CASE("what came since a moment of the past is there at once") {
  Served served;
  CHECK(served.get("/debug/pprof/heap?since=start").status == 503);
  served.history.tend(served.program);
  served.program.grow();
  for (const std::string target : {"heap?since=start", "heap?since=5m", "allocs?since=0"}) {
    CAPTURE(target);
    const std::string name = target.substr(0, target.find('?')) + "-delta";
    const pb::Profile profile = downloaded(served.get("/debug/pprof/" + target), name);
    CHECK(totals(profile) == std::vector<std::int64_t>{1, 4096, 1, 4096});
    CHECK(profile.duration_nanos() == 2'000'000'000);
  }
  check_refused(served.get("/debug/pprof/heap?since=monday"), 400,
                "invalid value for \"since\" - must be \"start\" or a time such as 5m");
  check_refused(served.get("/debug/pprof/goroutine?since=5m"), 400, "\"since\" is for heap and allocs only");
  check_refused(served.get("/debug/pprof/heap?since=5m&debug=1"), 400, "since and debug params are incompatible");
}

TEST_CASE("every profile but the processor's has a delta") {
  Served served;
  for (const std::string name : {"heap", "allocs", "goroutine", "threads", "threadcreate", "block", "mutex"}) {
    INFO(name);
    const HttpAnswer answer = served.ask("/debug/pprof/" + name + "?seconds=1");
    REQUIRE(answer.later);
    CHECK(answer.delay == milliseconds(1000));
    downloaded(answer.later(), name + "-delta");
  }
  const HttpAnswer created = served.ask("/debug/pprof/threadcreate?seconds=1");
  served.program.grow();
  CHECK(totals(downloaded(created.later(), "threadcreate-delta")) == std::vector<std::int64_t>{3});
}

TEST_CASE("when the process has executed another program, the delta is all of that one, and says so") {
  Served served;
  const HttpAnswer answer = served.ask("/debug/pprof/heap?seconds=2");
  served.program.grow();
  served.program.program = 2;
  const pb::Profile profile = downloaded(answer.later(), "heap-delta");
  CHECK(totals(profile) == std::vector<std::int64_t>{28, 14080, 21, 9600});
  CHECK(profile.duration_nanos() == 2'000'000'000);
  CHECK(contains(comments(profile), "executed another program"));
}

TEST_CASE("any number of seconds that Go takes is one that can be waited for") {
  Served served;
  CHECK(served.ask("/debug/pprof/heap?seconds=9223372036854775807").delay > std::chrono::hours(24 * 365));
  CHECK(served.ask("/debug/pprof/profile?seconds=9223372036854775807").delay > std::chrono::hours(24 * 365));
}

TEST_CASE("the profile of the processor is empty and takes its time") {
  Served served;
  const std::vector<std::pair<std::string, int>> table = {{"", 30},           {"?seconds=14", 14}, {"?seconds=x", 30},
                                                          {"?seconds=0", 30}, {"?seconds=-1", 30}, {"?debug=1", 30}};
  for (const auto& [query, seconds] : table) {
    INFO(query);
    const HttpAnswer answer = served.ask("/debug/pprof/profile" + query);
    CHECK(answer.delay == std::chrono::seconds(seconds));
    REQUIRE(answer.later);
    const pb::Profile profile = downloaded(answer.later(), "profile");
    CHECK(types(profile) == std::vector<std::string>{"samples/count", "cpu/nanoseconds"});
    CHECK(profile.period() == 10'000'000);
    CHECK(text(profile, profile.period_type().type()) == "cpu");
    CHECK(profile.sample_size() == 0);
    CHECK(profile.duration_nanos() >= 0);
  }
}

TEST_CASE("before the program has called there is nothing to profile, but all else") {
  Served served;
  served.program.has_called = false;
  for (const char* target :
       {"heap", "allocs?debug=1", "goroutine", "threads?debug=2", "threadcreate", "heap?seconds=1"}) {
    INFO(target);
    const HttpResponse response = served.get(std::string("/debug/pprof/") + target);
    check_refused(response, 503, "the program has not called back yet: there is nothing to profile");
    CHECK(header(response, "Retry-After") == "1");
  }
  CHECK(served.get("/debug/pprof/").status == 200);
  CHECK(served.get("/debug/pprof/block").status == 200);
  CHECK(served.get("/debug/pprof/cmdline").status == 200);
  CHECK(served.get("/debug/pprof/symbol?0x1").body == "num_symbols: 1\n");
}

TEST_CASE("the index counts and links what there is") {
  Served served;
  const HttpResponse response = served.get("/debug/pprof/");
  CHECK(response.status == 200);
  CHECK(header(response, "Content-Type") == "text/html; charset=utf-8");
  CHECK(header(response, "X-Content-Type-Options") == "nosniff");
  std::size_t last = 0;
  for (const char* row : {"5</td><td><a href='allocs?debug=1'>allocs<", "0</td><td><a href='block?debug=1'>block<",
                          "0</td><td><a href='cmdline?debug=1'>cmdline<", "2</td><td><a href='goroutine?debug=1'>gor",
                          "5</td><td><a href='heap?debug=1'>heap<", "0</td><td><a href='mutex?debug=1'>mutex<",
                          "0</td><td><a href='profile?debug=1'>profile<", "0</td><td><a href='symbol?debug=1'>symbol<",
                          "7</td><td><a href='threadcreate?debug=1'>thr", "2</td><td><a href='threads?debug=1'>thr"}) {
    INFO(row);
    const std::size_t place = response.body.find(std::string("<td>") + row);
    REQUIRE(place != std::string::npos);
    CHECK(place > last);
    last = place;
  }
  CHECK(contains(response.body, "\"goroutine?debug=2\""));
}

TEST_CASE("without its last slash the index is elsewhere") {
  Served served;
  CHECK(header(served.get("/debug/pprof"), "Location") == "/debug/pprof/");
  const HttpResponse response = served.get("/debug/pprof?debug=1");
  CHECK(response.status == 301);
  CHECK(header(response, "Location") == "/debug/pprof/?debug=1");
}

TEST_CASE("the command line is joined by NUL bytes") {
  Served served;
  const HttpResponse response = served.get("/debug/pprof/cmdline");
  CHECK(response.body == std::string("./server\0--port\08080", 20));
  CHECK(header(response, "Content-Type") == "text/plain; charset=utf-8");
}

TEST_CASE("symbols are looked up in the modules of the last profile, by GET and by POST") {
  Served served;
  const std::string wanted = "num_symbols: 1\n0x555500001200 main\n";
  CHECK(served.get("/debug/pprof/symbol?0x555500001200").body == wanted);
  CHECK(served.program.looks == 1);
  const HttpResponse posted = served.get("/debug/pprof/symbol", "POST", "0x555500001200+0x999");
  CHECK(posted.status == 200);
  CHECK(contains(posted.body, wanted));
  CHECK(header(posted, "Content-Type") == "text/plain; charset=utf-8");
  CHECK(served.program.looks == 1);
}

TEST_CASE("only reading is allowed, and symbol takes a body") {
  Served served;
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    for (const char* path : {"/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/nothing"}) {
      INFO(method << " " << path);
      const HttpResponse response = served.get(path, method);
      CHECK(response.status == 405);
      CHECK(header(response, "Allow") == "GET, HEAD");
      CHECK(response.body == "Method Not Allowed\n");
    }
  }
  CHECK(header(served.get("/debug/pprof/symbol", "PUT"), "Allow") == "GET, HEAD, POST");
  CHECK(served.get("/debug/pprof/heap", "HEAD").status == 200);
}

}  // namespace leakwatch
