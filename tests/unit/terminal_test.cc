// SPDX-License-Identifier: Apache-2.0

#include "cli/base/terminal.h"

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("no byte of a name steers a terminal") {
  CHECK(printable("plain, with \xc3\xa9 and \xe2\x82\xac") == "plain, with \xc3\xa9 and \xe2\x82\xac");
  CHECK(printable("ev\x1b[31mil\r\n\t\x7f") == "ev?[31mil????");
  CHECK(printable("\xc2\x9b"
                  "31m, \xc2\x80\xc2\x9f, \xc2\xa0") == "??31m, ????, \xc2\xa0");  // CSI of two bytes
  CHECK(printable("\x9b").size() == 1);
  CHECK(printable("").empty());
}

}  // namespace
}  // namespace leakwatch
