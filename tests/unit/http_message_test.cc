// SPDX-License-Identifier: Apache-2.0
//
// Parameters and targets of requests, as Go reads them.
#include "cli/http/http_message.h"

#include "cli/http/http_target.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

HttpRequest with_query(std::string query) {
  HttpRequest request;
  request.query = std::move(query);
  return request;
}

TEST_CASE("a parameter is decoded") {
  const HttpRequest request = with_query("seconds=5&name=a+b%2Bc%26&empty=&bare&%6bey=v&x=1=2&utf=%c3%A9");
  CHECK(parameter(request, "seconds") == "5");
  CHECK(parameter(request, "name") == "a b+c&");
  CHECK(parameter(request, "empty").empty());
  CHECK(parameter(request, "bare").empty());
  CHECK(parameter(request, "key") == "v");
  CHECK(parameter(request, "x") == "1=2");
  CHECK(parameter(request, "utf") == "\xc3\xa9");
  CHECK(parameter(request, "none").empty());
  CHECK(parameter(request, "Seconds").empty());
  CHECK(parameter(with_query("a%00b=1"), std::string_view("a\0b", 3)) == "1");
}

TEST_CASE("the first value of a name is taken, even when it is empty") {
  CHECK(parameter(with_query("a=1&a=2"), "a") == "1");
  CHECK(parameter(with_query("a=&a=2"), "a").empty());
  CHECK(parameter(with_query("a&a=2"), "a").empty());
}

TEST_CASE("a pair with a bad escape or a semicolon is none, and the others stay") {
  for (const char* bad : {"a=%", "a=%4", "a=%zz", "a=%4g", "a=1;b=2", "a=1;", "%a=1", "a%=1", ";a=1"}) {
    CAPTURE(bad);
    CHECK(parameter(with_query(std::string(bad) + "&a=9"), "a") == "9");
    CHECK(parameter(with_query("a=8&" + std::string(bad)), "a") == "8");
    CHECK(parameter(with_query(bad), "b").empty());
  }
}

TEST_CASE("a query may have holes") {
  CHECK(parameter(with_query("&&a=1&&"), "a") == "1");
  CHECK(parameter(with_query("="), "").empty());
  CHECK(parameter(with_query("=5"), "").find('5') == 0);
  CHECK(parameter(with_query(""), "a").empty());
  CHECK(parameter(with_query("&"), "a").empty());
}

TEST_CASE("a form's body comes before the query") {
  HttpRequest request = with_query("a=query&b=query");
  request.method = "POST";
  request.body = "a=body&c=";
  CHECK(parameter(request, "a") == "query");
  request.form_body = true;
  CHECK(parameter(request, "a") == "body");
  CHECK(parameter(request, "b") == "query");
  CHECK(parameter(request, "c").empty());
}

TEST_CASE("a target is a path and a query") {
  struct Row {
    const char *text, *path, *query, *authority;
  };
  for (const Row& row :
       {Row{"/", "/", "", ""}, Row{"/debug/pprof/heap?seconds=1", "/debug/pprof/heap", "seconds=1", ""},
        Row{"/a%20b%2Fc", "/a b/c", "", ""}, Row{"/a+b?c+d?e", "/a+b", "c+d?e", ""}, Row{"/?", "/", "", ""},
        Row{"/../..//x", "/../..//x", "", ""}, Row{"/?%zz", "/", "%zz", ""},
        Row{"http://host:1/p?q", "/p", "q", "host:1"}, Row{"HTTP://host", "/", "", "host"},
        Row{"https://host?q", "/", "q", "host"}, Row{"//host/p", "//host/p", "", ""}}) {
    CAPTURE(row.text);
    const std::optional<HttpTarget> target = parse_http_target(row.text);
    REQUIRE(target);
    CHECK(target->path == row.path);
    CHECK(target->query == row.query);
    CHECK(target->authority == row.authority);
  }
}

TEST_CASE("a path is cleaned as Go cleans it") {
  struct Row {
    const char *path, *clean;
  };
  for (const Row& row : {Row{"/", "/"}, Row{"//", "/"}, Row{"/a", "/a"}, Row{"/a/", "/a/"}, Row{"//a//b//", "/a/b/"},
                         Row{"/./a/.", "/a"}, Row{"/a/./", "/a/"}, Row{"/a/../b", "/b"}, Row{"/a/b/..", "/a"},
                         Row{"/a/b/../", "/a/"}, Row{"/..", "/"}, Row{"/../../a", "/a"}, Row{"/a/../..", "/"},
                         Row{"/a..b/...", "/a..b/..."}, Row{"/%2F%2F/%2e%2e", "/%2F%2F/%2e%2e"}}) {
    CAPTURE(row.path);
    CHECK(clean_path(row.path) == row.clean);
    CHECK(clean_path(row.clean) == row.clean);
  }
}

TEST_CASE("what is no target is refused") {
  for (const char* text : {"", "*", "x", "?q", "%2f", "/%", "/%4", "/%zz", "/%4", "http://", "http:///p", "ftp://h/p",
                           "host:80", "http://h/%"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_target(text));
  }
}

}  // namespace
}  // namespace leakwatch
