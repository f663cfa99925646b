// SPDX-License-Identifier: Apache-2.0
//
// Names that other people's files hold, as a line of text has them.
#include "cli/base/utf8.h"

#include <utility>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch {

TEST_CASE("bad bytes are replaced one by one, good ones stay") {
  const std::string r = "\xef\xbf\xbd";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", ""},
      {"plain", "plain"},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89"},
      {"a\xff", "a" + r},
      {"\xc0\xaf", r + r},
      {"\xed\xa0\x80", r + r + r},
      {"\xe2\x82", r + r}};
  for (const auto& [bytes, text] : table) CHECK(valid_utf8(bytes) == text);
}

TEST_CASE("a line has no control characters") {
  CHECK(on_one_line("a\nb\tc\x1b[31md\x7f\xff") == "a?b?c?[31md?\xef\xbf\xbd");
}

}  // namespace leakwatch
