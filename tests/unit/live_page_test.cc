// SPDX-License-Identifier: Apache-2.0
//
// The answers of the live page. What a browser makes of them is for tests/browser/.
#include "cli/serve/live_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/fake_program.h"

namespace leakwatch {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

struct Served {
  FakeProgram program;
  History history{program.clock()};
  LivePage page{program, history, 4711};

  HttpResponse get(const std::string& path, const std::string& query = "", const std::string& method = "GET") {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.query = query;
    const std::optional<HttpAnswer> answer = page.answer(request);
    REQUIRE(answer);
    CHECK_FALSE(answer->later);
    return answer->now;
  }
  json data(const std::string& path, const std::string& query = "") { return json::parse(get(path, query).body); }
};

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers)
    if (key == name) return value;
  return "(none)";
}

TEST_CASE("LivePage: other paths are none of its business") {
  Served served;
  for (const char* path : {"", "/x", "/live", "/live.json/", "/debug/pprof/", "/metrics", "//"}) {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    CHECK_FALSE(served.page.answer(request));
  }
}

TEST_CASE("LivePage: only what grows takes long to find out") {
  CHECK(LivePage::is_much_work("/growth.json"));
  for (const char* path : {"/", "/live.json", "/metrics"}) CHECK_FALSE(LivePage::is_much_work(path));
}

TEST_CASE("LivePage: the page is one answer that may load nothing and run nothing but its own") {
  Served served;
  const HttpResponse page = served.get("/");
  CHECK(page.status == 200);
  CHECK(header(page, "Content-Type") == "text/html; charset=utf-8");
  CHECK(header(page, "X-Content-Type-Options") == "nosniff");
  CHECK(header(page, "Referrer-Policy") == "no-referrer");
  CHECK(header(page, "Cache-Control") == "no-store");
  const std::string policy = header(page, "Content-Security-Policy");
  CHECK(policy.starts_with("default-src 'none'; script-src 'sha256-"));
  CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
  CHECK(policy.find("unsafe") == std::string::npos);
  CHECK(page.body.starts_with("<!doctype html>"));
  for (const char* outside : {"http://", "https://", "src=", "@import", "innerHTML", "<link rel=\"stylesheet\""}) {
    INFO(outside);
    std::string body = page.body;
    // The one address in it is the name of a format.
    for (std::size_t at; (at = body.find("http://www.w3.org/2000/svg")) != std::string::npos;) body.erase(at, 26);
    CHECK(body.find(outside) == std::string::npos);
  }
}

TEST_CASE("LivePage: it is read with GET and HEAD") {
  Served served;
  for (const char* path : {"/", "/live.json", "/growth.json"}) {
    CHECK(served.get(path, "", "HEAD").status == 200);
    const HttpResponse refused = served.get(path, "", "POST");
    CHECK(refused.status == 405);
    CHECK(header(refused, "Allow") == "GET, HEAD");
  }
}

TEST_CASE("LivePage: before the program calls back there is a name and nothing to plot") {
  Served served;
  served.program.program = 0;
  served.history.tend(served.program);
  const json live = served.data("/live.json");
  CHECK(live["program"] == 0);
  CHECK(live["pid"] == 4711);
  CHECK(live["command"] == json({"/srv/app", "--port", "80"}));
  CHECK_FALSE(live.contains("points"));
  CHECK(served.data("/growth.json")["program"] == 0);
}

TEST_CASE("LivePage: live.json has the points that the page does not know yet") {
  Served served;
  served.program.live = {{110, 500}};
  served.program.allocated = 800;
  served.program.waiting = {{{110, 210}, 3}};
  served.history.tend(served.program);
  served.program.pass(1250ms);
  served.history.tend(served.program);
  CHECK(header(served.get("/live.json"), "Content-Type") == "application/json");
  CHECK(header(served.get("/live.json"), "Cache-Control") == "no-store");
  json live = served.data("/live.json");
  CHECK(live["points"] == json({{0.0, 500, 1 << 20, 3, 800}, {1.25, 500, 1 << 20, 3, 800}}));
  CHECK(live["last"] == 2);
  CHECK(live["seconds"] == 1.25);
  CHECK(live["now"]["live_bytes"] == 500);
  CHECK(live["now"]["live_blocks"] == 50);
  CHECK(live["now"]["kernel_threads"] == 3);
  CHECK(live["time_ms"] == 1'700'000'000'000);
  CHECK(live["not_seen"].size() == 1);  // how it was sampled
  CHECK(served.data("/live.json", "after=1")["points"].size() == 1);
  CHECK(served.data("/live.json", "after=2")["points"].empty());
  for (const char* odd :
       {"after=", "after=x", "after=-1", "after=2x", "after=99", "after=99999999999999999999999", "x"})
    CHECK(served.data("/live.json", odd)["points"].size() == 2);
}

TEST_CASE("LivePage: figures of a process that is gone are not known, which is not zero") {
  Served served;
  served.program.resident = 0;
  served.history.tend(served.program);
  const json live = served.data("/live.json");
  CHECK(live["now"]["resident_bytes"].is_null());
  CHECK(live["now"]["kernel_threads"].is_null());
  CHECK(live["points"][0][2].is_null());
  CHECK(live["points"][0][3].is_null());
}

TEST_CASE("LivePage: growth.json has sites and groups of threads") {
  Served served;
  served.program.live = {{110, 500}};
  served.program.waiting = {{{310, 410}, 3}};
  served.history.tend(served.program);
  served.program.live = {{110, 900}};
  served.program.pass(6s);
  const json growth = served.data("/growth.json");
  CHECK(growth["sites"] == json::array({{{"function", "f1"},
                                         {"location", "a.cc:110"},
                                         {"live_bytes", 900},
                                         {"live_blocks", 90},
                                         {"grown_bytes", 400},
                                         {"bytes_per_minute", 4000.0},
                                         {"trend", {500, 900}}}}));
  CHECK(growth["heap_times"] == json({0.0, 6.0}));
  CHECK(growth["groups"] == json::array({{{"threads", 3},
                                          {"state", "futex wait"},
                                          {"place", "f3 a.cc:310"},
                                          {"creator", "f4 a.cc:410"},
                                          {"grown", 0},
                                          {"per_minute", nullptr},
                                          {"trend", {3}}}}));
}

TEST_CASE("LivePage: names of any bytes and length make valid and bounded JSON") {
  GrowthReport report;
  report.program = 1;
  const std::string bad = std::string("\xff\xfe\"</script>\x01\0 \xc3", 16);
  report.sites.push_back(
      {.function = bad + std::string(100'000, 'x'), .location = bad, .bytes_per_minute = {}, .trend = {}});
  report.notes = {std::string(999, 'y') + "\xc3\xa4"};  // cut in the middle of a character
  const std::string text = growth_json(report);
  CHECK(text.size() < 4000);
  const json growth = json::parse(text);  // refuses what is not UTF-8
  CHECK(growth["sites"][0]["function"].get<std::string>().find("\"</script>") != std::string::npos);
  const json live = json::parse(live_json({}, {{bad, std::string(5000, 'z')}, 1}));
  CHECK(live["command"][1].get<std::string>().size() < 1100);
  CHECK(json::parse(live_json({}, {std::vector<std::string>(100'000, "a"), 1}))["command"].size() == 101);
}

}  // namespace
}  // namespace leakwatch
