// SPDX-License-Identifier: Apache-2.0
//
// Addresses that readers of the text forms send back for their names.
#include "cli/profile/symbol_text.h"

#include "tests/unit/go_pprof.h"
#include "tests/unit/profile_fixtures.h"

namespace leakwatch {
namespace {

std::string names(std::string_view addresses, const HeapSnapshot& snapshot = server()) {
  FakeSymbols symbols;
  return symbol_text(addresses, snapshot.modules, symbols.lookup());
}

}  // namespace

TEST_CASE("the first line says that there are symbols, whatever is asked") {
  for (const char* addresses : {"", "+", "+++", "debug=1", "0x", "0xzz", "0", "-1", "0x10000000000000000"}) {
    INFO(addresses);
    CHECK(names(addresses) == "num_symbols: 1\n");
  }
}

TEST_CASE("each address has a line with the linker's name of the innermost function") {
  CHECK(names("0x555500001100+0x7f0000002100") ==
        "num_symbols: 1\n0x555500001100 _ZN5Cache4growEi\n0x7f0000002100 extra_init\n");
}

TEST_CASE("an address in a module without a symbol there is named by the module") {
  CHECK(names("0x7f0000002abc") == "num_symbols: 1\n0x7f0000002abc libextra.so.1+0x2abc\n");
}

TEST_CASE("frames that we put in ourselves have names too") {
  CHECK(names("0x1+0x2+0x3+0x10+0x11+0x12") ==
        "num_symbols: 1\n0x1 [leakwatch: deeper frames cut]\n0x2 [leakwatch: unknown caller]\n"
        "0x3 [leakwatch: stack not recorded]\n0x10 [leakwatch: main thread]\n0x11 [leakwatch: creator not seen]\n"
        "0x12 [leakwatch: folded]\n");
}

TEST_CASE("addresses of nobody are left out") {
  CHECK(names("0x4+0xf+0x13+0x123+0xfff+0x7e1234+0xffffffffffffffff") == "num_symbols: 1\n");
  CHECK(names("0x123+0x555500001200+0x7e1234") == "num_symbols: 1\n0x555500001200 main\n");
}

TEST_CASE("numbers are read as Go reads them") {
  CHECK(names("0X555500001200") == "num_symbols: 1\n0x555500001200 main\n");
  CHECK(names("93823560585728+02525240000011000") == "num_symbols: 1\n0x555500001200 main\n0x555500001200 main\n");
}

TEST_CASE("the library that came last has the address") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(module_at("/usr/lib/libother.so", "abcd", kLibraryBase));
  CHECK(names("0x7f0000002100", snapshot) == "num_symbols: 1\n0x7f0000002100 libother.so+0x2100\n");
}

}  // namespace leakwatch
