// SPDX-License-Identifier: Apache-2.0
//
// demangle(): the three manglings that services are built with, and everything that only looks like one.
#include <string>

#include "symbolize/symbolizer.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("C++ names are demangled with their parameters", "[demangle]") {
  CHECK(demangle("_ZN4shop4Cart5totalEi") == "shop::Cart::total(int)");
  CHECK(demangle("_ZNK4shop4Cart5totalEi") == "shop::Cart::total(int) const");
  CHECK(demangle("_ZN12_GLOBAL__N_15innerEv") == "(anonymous namespace)::inner()");
  CHECK(demangle("_Z5twiceIiET_S0_") == "int twice<int>(int)");
  CHECK(demangle("_ZN4CartC4Ev") == "Cart::Cart()");
  CHECK(demangle("_Znwm") == "operator new(unsigned long)");
}

TEST_CASE("a clone's suffix is kept apart from its name", "[demangle]") {
  CHECK(demangle("_ZL6hiddeni.constprop.0") == "hidden(int) [clone .constprop.0]");
}

TEST_CASE("older Rust names lose the hash that changes with every build", "[demangle]") {
  CHECK(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE") == "core::fmt::Write::write_fmt");
  CHECK(demangle(
            "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE") ==
        "<Test + 'static as foo::Bar<Test>>::bar");
}

TEST_CASE("newer Rust names are demangled", "[demangle]") {
  CHECK(demangle("_RNvCs1234_7mycrate3foo") == "mycrate::foo");
  CHECK(demangle("_RINvNtC3std3mem8align_ofjE") == "std::mem::align_of::<usize>");
}

TEST_CASE("any other name comes back as it is", "[demangle]") {
  for (const std::string name : {"", "main", "malloc", "i", "_Z", "_R", "_Zebra", "_Ready", "_ZN4shop", "std::move",
                                 "_GLOBAL__I_main", "ada__text_io__put", "_D3foo3barFZv", "libfoo.so+0x1a2b"}) {
    CHECK(demangle(name) == name);
  }
}

TEST_CASE("endless and damaged names do no harm", "[demangle]") {
  const std::string nested = "_Z" + std::string(100000, 'P') + "i";
  CHECK(demangle(nested) == nested);
  const std::string types = "_Z1f" + std::string(100000, 'P') + "i";
  CHECK(demangle(types) == types);
}

}  // namespace
}  // namespace leakwatch
